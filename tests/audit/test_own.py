"""The project's own documents: nothing is found in them, and whatever is changed in them or beside them is noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from gpulock import command, options
from gpulock.group import CannotRun
from gpulockd import __main__ as daemon_command
from gpulockd.audit import Finding, Outcome, Request, audit
from gpulockd.audit.claims import claims_of
from gpulockd.audit.document import Document, read_document
from gpulockd.audit.profiles.gpulockd import Gpulockd
from gpulockd.audit.project import Audited, Project
from gpulockd.audit.rules import RULES, check
from gpulockd.audit.rulesfile import RulesFile
from gpulockd.audit.source import Source, read
from gpulockd.audit.truths import Truths
from gpulockd.ctl import __main__ as ctl_command
from gpulockd.ctl.commands.audit import own_program
from gpulockd.http import metrics

from .marked import PROFILES

ROOT = Path(__file__).parents[2]
GUIDE = "docs/guide.md"

# Numbers of the guide that say nothing of the configuration, by the text around them.
OTHERS = (
    r"simulate \d",
    r"L\d-\d+",
    r"`\d+s`, `\dm`, `\dh`, `\dh\d+m`",
    r"−10 to 10",
    r"\d to 1;",
    r"`gpus` \| `1`",
    r"how long to wait: 0",
    r"`priority` \| `0`",
    r"`unavailable_timeout` \| `5.0`",
    r"`wait_timeout` was 0",
    r"max_tasks_per_child=1",
    r"USR1(@\dm)?",
    r"\| 77 \|",  # 78 is one of the daemon's
    r"\| `8788` \| 0: off",
    r"^```.*?^```",  # programs and examples, which other tests run
)


@pytest.fixture(scope="module")
def truths() -> Truths:
    return Gpulockd(own_program()).truths([config()], RulesFile(), ROOT)


def config() -> Source:
    return read(ROOT / "config.yml", "config.yml")


def own() -> Outcome:
    return audit(Request(ROOT, [], [], ROOT / "audit.yml", PROFILES))


def test_nothing_is_found_in_this_project() -> None:
    assert [str(each.place) + " " + each.message for each in own().findings] == []


def test_every_rule_is_documented_and_no_other() -> None:
    named = re.findall(r"`([a-z]+(?:-[a-z]+)+)`", (ROOT / "docs" / "audit.md").read_text())
    lists = [line for line in (ROOT / "docs" / "audit.md").read_text().splitlines() if line.startswith("- `")]
    assert set(RULES) == {name for line in lists for name in re.findall(r"`([a-z-]+)`[,:]", line)}
    assert set(named) - set(RULES) <= {"at-least", "at-most", "ignore-file"}


class Change(NamedTuple):
    line: int
    text: str
    where: int


def changes(text: str) -> Iterator[Change]:
    """The text with one number changed, for each of its numbers."""
    for match in re.finditer(r"\d+(?:\.\d+)?", text):
        other = str(int(float(match.group())) + 1)
        changed = text[: match.start()] + other + text[match.end() :]
        yield Change(text.count("\n", 0, match.start()) + 1, changed, match.start())


def found_in(text: str, truths: Truths) -> set[tuple[str, str]]:
    source = Source(ROOT / GUIDE, GUIDE, text)
    document = read_document(source)
    project = Project(ROOT, truths, [Audited(document, claims_of(document, truths))], RulesFile(), [config()])
    return {(each.rule, each.says) for each in check(project)}


def test_every_number_of_the_guide_that_is_changed_is_noticed(truths: Truths) -> None:
    """But for those in `OTHERS`: the rest are what the guide says of the configuration and of exit codes."""
    text = (ROOT / GUIDE).read_text()
    before = found_in(text, truths)
    flags = re.DOTALL | re.MULTILINE
    ignored = [range(*match.span()) for pattern in OTHERS for match in re.finditer(pattern, text, flags)]
    judged = [change for change in changes(text) if not any(change.where in each for each in ignored)]
    assert len(judged) > 30
    missed = [f"{GUIDE}:{each.line}" for each in judged if not found_in(each.text, truths) - before]
    assert missed == [], "name the setting beside the number, as in `10 s (daemon.revoke_grace)`, or list it in OTHERS"


def test_every_value_of_the_configuration_that_is_changed_is_noticed(truths: Truths, tmp_path: Path) -> None:
    text = config().text
    for key, (setting,) in truths.values.items():
        line = int(setting.origin.split(":")[1])
        lines = text.splitlines(keepends=True)
        name = key.rpartition(".")[2]
        lines[line - 1] = re.sub(rf"({name}:\s*).*", rf"\g<1>{another(setting.value)}", lines[line - 1])
        file = tmp_path / "config.yml"
        file.write_text("".join(lines))
        findings = audit(Request(ROOT, [file], [ROOT / GUIDE], None, PROFILES)).findings
        assert told_of(findings, key, "default-differs"), key


def test_profiles_are_somebodys_own(tmp_path: Path) -> None:
    """Names and values of theirs are no findings; what the daemon would refuse is."""
    file = tmp_path / "config.yml"

    def findings_with(profile: str) -> list[str]:
        file.write_text(f"{config().text}\nprofiles:\n  film: {profile}\n")
        found = audit(Request(ROOT, [file], [ROOT / GUIDE], None, PROFILES)).findings
        return [f"{each.message} {each.place}" for each in found if "film" in each.message]

    assert findings_with("{max_hold: 1h, timeout_levels: {hard_timeout: 9h}}") == []
    [finding] = findings_with("{max_hold: 9h}")
    assert "profiles.film.max_hold: is 32400, but must be at most" in finding


def another(value: object) -> str:
    match value:
        case bool():
            return str(not value).lower()
        case int() | float():
            return str(value + 1)
        case "keep" | "wait" | "info":
            return {"keep": "revoke", "wait": "kill", "info": "debug"}[value]
        case tuple():
            return "[somebody]"
        case _:
            return f'"{value}/other"'


def told_of(findings: Sequence[Finding], key: str, rule: str) -> bool:
    return any(each.rule == rule and each.says.startswith(f"{key} is") for each in findings)


def test_the_exit_codes_are_those_of_the_commands(truths: Truths) -> None:
    codes = {0, 2, daemon_command.UNAVAILABLE, daemon_command.MISCONFIGURED}
    codes |= {status for _, status in command._STATUS} | {command.LOST, ctl_command.REFUSED, ctl_command.NOT_PERMITTED}
    codes |= {CannotRun("x", kind(0, "")).status for kind in (FileNotFoundError, PermissionError)}
    assert truths.exit_codes == codes


def test_what_the_profile_knows_is_what_there_is(truths: Truths) -> None:
    named = set(re.findall(r'"((?:gpu_lock|gpulockd)_\w+)"', Path(metrics.__file__).read_text()))
    assert truths.metrics is not None
    assert {name for name in named if not any(each.startswith(name) for each in truths.metrics)} == set()
    assert truths.programs["gpulock"].options == options.spellings()
    assert set(truths.programs["gpulockctl"].commands) >= {"status", "audit", "doctor"}
    assert truths.routes is not None
    assert set(truths.routes) >= {"/health", "/metrics", "/api/v1/status"}


def test_a_document_is_read_without_losing_a_place() -> None:
    """Every code span, in every document, stands where the reader says that it does."""
    documents: list[Document] = [each.document for each in own().project.documents]
    spans = 0
    for document in documents:
        for passage in document.passages:
            for code in passage.codes:
                assert document.source.text[passage.offset(code.start)] == "`"
                spans += 1
        for block in document.blocks:
            for at in range(0, len(block.content), 7):
                assert document.source.text[block.offset(at)] == block.content[at]
    assert spans > 500
