"""The report says what the run gave, made once or again from its figures."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench import report
from bench.bars import BARS
from bench.charts import Row, bar_chart
from bench.contenders import FLOOR, GPULOCK
from gpulockd.evidence.statistics import Estimate
from tests.bench.runs import run, sample

BAR = next(bar for bar in BARS if bar.against == FLOOR)


def test_the_figures_beside_the_report_make_it_again(tmp_path: Path) -> None:
    where = tmp_path / "performance.md"
    report.write(run(sample(GPULOCK, 30, bar=BAR), sample(FLOOR, 60, bar=BAR)), where)
    first = where.read_text()
    again = report.read(tmp_path / "performance" / report.FIGURES)
    report.write(again, where)
    assert where.read_text() == first


@pytest.mark.parametrize(("ours", "verdict"), [(1e9, "| met |"), (1e-9, "| **missed** |")])
def test_a_planted_figure_turns_the_verdict_in_the_report(ours: float, verdict: str) -> None:
    text = report.text(run(sample(GPULOCK, ours, bar=BAR), sample(FLOOR, 60, bar=BAR)), {})
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {BAR.text} |")]
    assert verdict in line


def test_a_short_or_disturbed_or_incomplete_run_says_so_at_the_top() -> None:
    good = report.text(run(sample(GPULOCK, 30, bar=BAR)), {})
    assert "> **" not in good
    bad = report.text(run(sample(GPULOCK, 30, bar=BAR, noise=0.5), plan="quick", pottery="it is not installed"), {})
    for warning in ("Not for quoting", "during 1 of 1 measurements", "pottery: it is not installed"):
        assert warning in bad.partition("## The bars")[0]


def test_every_image_that_the_report_shows_is_there(tmp_path: Path) -> None:
    where = tmp_path / "performance.md"
    report.write(run(dataclasses.replace(sample(GPULOCK, 30, bar=BAR), metrics={"p50_us": 30.0})), where)
    shown = [line.partition("](")[2].rstrip(")") for line in where.read_text().splitlines() if line.startswith("![")]
    assert shown
    for image in shown:
        assert ElementTree.parse(tmp_path / image).getroot().tag.endswith("svg")


def test_a_longer_bar_stands_for_a_larger_value() -> None:
    rows = [Row("ours & <theirs>", Estimate(10, 9, 11), ours=True), Row("theirs", Estimate(1000, 900, 1100))]
    root = ElementTree.fromstring(bar_chart("A chart", "ms", rows))
    widths = [float(each.attrib["width"]) for each in root.iter() if each.tag.endswith("rect")]
    assert widths[0] < widths[1]
    assert "ours & <theirs>" in "".join(root.itertext())
