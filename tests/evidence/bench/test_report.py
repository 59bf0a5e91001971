"""The report: a page for people, with plots, and a statement for programs."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from gpulockd.evidence.bench.report import plots, write
from gpulockd.evidence.statement import read

from .blocks import report, rounds

BOTH = report(rounds("poll-2", 10.0), rounds("push", 3.0))


def test_it_has_what_a_reader_needs(tmp_path: Path) -> None:
    write(BOTH, tmp_path / "settings.md")
    text = (tmp_path / "settings.md").read_text()
    assert "$ gpulockctl bench\n" in text
    assert "| push | **passed** | met: 0.3 (0.3 to 0.3) |" in text
    assert "seed 1" in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.partition("](")[2].rstrip(")")).is_file()
    figures = json.loads((tmp_path / "settings" / "figures.json").read_text())
    assert len(figures["blocks"]) == 10
    assert figures["blocks"][0]["load"]["requests"] == 9.7


def test_its_statement_says_what_was_tried_and_how_it_went(tmp_path: Path) -> None:
    write(BOTH, tmp_path / "settings.md")
    statement = read((tmp_path / "settings.md").read_text())
    assert statement == BOTH.statement
    assert [(each.name, each.verdict) for each in statement.variants] == [("poll-2", "baseline"), ("push", "passed")]
    assert statement.variants[0].settings == {"gpu_lock.poll_interval": 2.0}


def test_plots_are_well_formed_and_named_for_what_they_show() -> None:
    drawn = plots(BOTH)
    assert set(drawn) == {"wait", "waits", "tasks", "requests", "cpu"}
    for title, chart in drawn.values():
        root = ElementTree.fromstring(chart)
        assert root.attrib["aria-label"] == title
        words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
        assert {"poll-2", "push"} <= set(words)


def test_a_bar_is_as_long_as_its_value() -> None:
    root = ElementTree.fromstring(plots(BOTH)["wait"][1])
    widths = [float(each.attrib["width"]) for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert round(widths[1] / widths[0], 2) == 0.3


def test_without_redis_there_are_no_figures_of_it_and_it_says_so(tmp_path: Path) -> None:
    bare = report(rounds("push", 3.0, redis=False), left_out=["poll-2 is left out: there is no Redis"])
    assert set(plots(bare)) == {"wait", "waits", "tasks"}
    write(bare, tmp_path / "settings.md")
    text = (tmp_path / "settings.md").read_text()
    assert "> - poll-2 is left out: there is no Redis" in text
    assert "nothing to compare" in text
