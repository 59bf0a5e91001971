"""`gpulockctl audit` as people call it: exit codes, what is printed, and what it does with files that are none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from gpulockd.ctl.__main__ import main

from .marked import CONFIG, Workshop

Ctl = Callable[..., tuple[int, str, str]]
WRONG = "# Guide\n\n```yaml\ngpu_lock:\n  poll_interval: 0.5\n```\n"
CLEAN = "# Guide\n\n```yaml\ngpu_lock:\n  poll_interval: 2\n```\n"


@pytest.fixture
def ctl(workshop: Workshop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ctl:
    monkeypatch.chdir(workshop.root)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["audit", "--config", "config.yml", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_clean_project_ends_with_0(workshop: Workshop, ctl: Ctl) -> None:
    workshop.write("docs/guide.md", CLEAN)
    assert ctl("--docs", "docs") == (0, "nothing found in 1 file\n", "")


def test_findings_end_with_1(workshop: Workshop, ctl: Ctl) -> None:
    workshop.write("docs/guide.md", WRONG)
    workshop.write("docs/more.md", WRONG)
    code, out, err = ctl("--docs", "docs/more.md", "docs")
    assert (code, err) == (1, "")
    lines = [line for line in out.splitlines() if line.startswith("docs/")]
    what = "gpu_lock.poll_interval is 0.5 here, but it is 2 (config.yml:4:18)  value-in-block"
    assert lines == [f"docs/guide.md:5:18: {what}", f"docs/more.md:5:18: {what}"]
    assert "2 findings in 2 files: 2 value-in-block" in out


def test_json_has_everything(workshop: Workshop, ctl: Ctl) -> None:
    workshop.write("guide.md", WRONG)
    code, out, _ = ctl("--docs", "guide.md", "--json")
    document = json.loads(out)
    (finding,) = document["findings"]
    assert (code, document["schema_version"], document["files"]) == (1, 1, 1)
    assert finding["rule"] == "value-in-block"
    assert (finding["file"], finding["line"], finding["column"]) == ("guide.md", 5, 18)
    assert (finding["truth"], finding["origin"], finding["fixable"]) == ("it is 2", "config.yml:4:18", True)


TROUBLES = {
    "a broken configuration": ("gpu_lock: [1,\n", "config.yml:2:1: is not YAML"),
    "a binary one": ("gpu_lock:\0", "config.yml:1:10: the character U+0000 is in no text"),
}


@pytest.mark.parametrize(("config", "told"), TROUBLES.values(), ids=TROUBLES)
def test_its_own_trouble_ends_with_2(workshop: Workshop, ctl: Ctl, config: str, told: str) -> None:
    workshop.write("config.yml", config)
    workshop.write("guide.md", CLEAN)
    code, out, err = ctl("--docs", "guide.md")
    assert (code, out) == (2, "")
    assert f"gpulockctl audit: {told}" in err


def test_a_missing_configuration_or_none_at_all_is_trouble(workshop: Workshop, ctl: Ctl) -> None:
    workshop.write("guide.md", CLEAN)
    assert ctl("--config", "absent.yml", "--docs", "guide.md")[0] == 2
    assert "no documents are named" in ctl()[2]
    workshop.write("audit.yml", "dosc: [guide.md]\n")
    assert "dosc: Extra inputs are not permitted" in ctl("--rules", "audit.yml")[2]


def test_what_cannot_be_read_is_a_finding(
    workshop: Workshop, ctl: Ctl, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.md").write_text(WRONG)
    workshop.write("docs/a-large.md", b"x" * (50 << 20))
    workshop.write("docs/b-junk.md", os.urandom(4096) + b"\xff")
    workshop.write("docs/c-nul.md", b"text\n\0\n")
    (workshop.root / "docs/d-cycle.md").symlink_to("d-cycle.md")
    (workshop.root / "docs/e-outside.md").symlink_to(outside / "secret.md")
    (workshop.root / "docs/f-folder").symlink_to(".")
    workshop.write("docs/g-broken-yaml.md", "```yaml\ngpu_lock:\n\tpoll_interval: [0.5\n```\n")
    code, out, err = ctl("--docs", "docs")
    assert (code, err) == (1, "")
    said = {line.partition(":")[0]: line for line in out.splitlines() if line.startswith("docs/")}
    assert "is longer than 4 MiB" in said["docs/a-large.md"]
    assert "is not UTF-8" in said["docs/b-junk.md"]
    assert "docs/c-nul.md:2:1: the character U+0000" in said["docs/c-nul.md"]
    assert "leads to itself" in said["docs/d-cycle.md"]
    assert "out of the tree" in said["docs/e-outside.md"]
    assert "docs/f-folder" not in said


def test_the_configuration_may_be_named_by_the_rules_file(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    workshop.write("docs/guide.md", WRONG)
    workshop.write("docs/archive/old.md", WRONG)
    workshop.write("settings/app.yml", CONFIG)
    rules = workshop.write("audit.yml", "config: [settings/app.yml]\ndocs: [docs]\nexclude: [docs/archive/*]\n")
    assert main(["audit", "--rules", str(rules), "--root", str(workshop.root)]) == 1
    assert "(settings/app.yml:4:18)" in capsys.readouterr().out
