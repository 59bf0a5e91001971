"""The project's own documents: nothing is found in them, and whatever is changed in them or beside them is noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from gpulockd.audit.rules import (
    RULES,
    commands,
    contradictions,
    editions,
    keys,
    served,
    suggestions,
    values,
    variables,
)
from gpulockd.audit.rulesfile import RulesFile
from gpulockd.audit.source import Source, read
from gpulockd.audit.truths import Truths
from gpulockd.ctl import exits
from gpulockd.ctl.commands.audit import own_program
from gpulockd.http import metrics

from .marked import PROFILES

ROOT = Path(__file__).parents[2]
GUIDE = "docs/guide.md"
EDITIONS = [GUIDE, "docs/guide.zh.md"]
FLAGS = re.DOTALL | re.MULTILINE

# Numbers of the guide that only its other edition can be held against, by the text around them.
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
    r"0: (strictly in order|off)",
    r"Linux 5\.3|Python 3\.11|Redis \(6 to 8\)",
    r"0\.\d+ of `(redis\.)?ttl`",
    r"200 or 503|`gpu_lock_can_grant` is 1|`gpu_lock_foreign_processes` are 0",
    r"exit status \d+|69 are the surroundings|-n 30",  # the other number is a status, too
    r"is away for 10 seconds; today, for 5|1,000 waiters",
    r"\| `\d+` \| `\d+` \|",  # what is suggested
    r"^```.*?^```",  # programs and examples, which other tests run
)


@pytest.fixture(scope="module")
def truths() -> Truths:
    """Without what only compares the configuration with the code."""
    known = Gpulockd(own_program()).truths([config()], RulesFile(), ROOT)
    return replace(known, is_complete=False)


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


def test_every_section_with_rules_ends_with_what_it_does_not_see() -> None:
    _, *sections = (ROOT / "docs" / "audit.md").read_text().split("\n## ")
    of_rules = [section for section in sections if re.search(rf"^- `({'|'.join(RULES)})`", section, re.MULTILINE)]
    last = {section.partition("\n")[0]: section.strip().rpartition("\n\n")[2] for section in of_rules}
    assert [title for title, paragraph in last.items() if not paragraph.startswith("It does not see: ")] == []
    assert len(last) >= 12


class Change(NamedTuple):
    """A chapter with one number changed: the digit that was there, and the one that is there now."""

    line: int
    text: str
    where: int
    what: str


def chapters(edition: str) -> list[str]:
    """What stands below each heading, with the headings that it stands below: documents of their own, soon read."""
    head, *parts = re.split(r"^(?=#{2,3} )", (ROOT / edition).read_text(), flags=re.MULTILINE)
    title, above, found = head.splitlines()[0], "", [head]
    for part in parts:
        if part.startswith("## "):
            above = part.splitlines()[0]
            found.append(f"{title}\n\n{part}")
        else:
            found.append(f"{title}\n\n{above}\n\n{part}")
    return found


def changes(text: str) -> Iterator[Change]:
    """The text with one number changed, for each that its readers see as it is written: not `1.` before an item."""
    items = {match.start() for match in re.finditer(r"^\d+\. ", text, re.MULTILINE)}
    for match in (each for each in re.finditer(r"\d+(?:\.\d+)?", text) if each.start() not in items):
        other = str(int(float(match.group())) + 1)
        changed = text[: match.start()] + other + text[match.end() :]
        yield Change(text.count("\n", 0, match.start()) + 1, changed, match.start(), match.group())


def read_as(edition: str, text: str, truths: Truths) -> Audited:
    document = read_document(Source(ROOT / edition, edition, text))
    return Audited(document, claims_of(document, truths))


def told_by_truths(audited: Audited, truths: Truths) -> set[tuple[str, str]]:
    """By what the configuration, the commands and the routes say; links and code have no numbers of their own."""
    project = Project(ROOT, truths, [audited])
    judges = (values, keys, suggestions, commands, served, variables, contradictions)
    return {(each.rule, each.says) for judge in judges for each in judge.check(project)}


def told_by_comparing(audited: Audited, other: Audited, truths: Truths) -> set[tuple[str, str]]:
    """Of chapters alone it is told that their links lead to others, too."""
    both = sorted((audited, other), key=lambda each: EDITIONS.index(each.source.name))
    project = Project(ROOT, truths, both, RulesFile(editions=[EDITIONS]))
    return {(each.rule, each.message) for each in editions.check(project)}


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_number_of_the_guide_that_is_changed_is_noticed(truths: Truths, edition: str) -> None:
    """One at a time, in either edition. `OTHERS` says of which only the other edition can tell that they are wrong."""
    (its,) = (each for each in EDITIONS if each != edition)
    missed, unknown, judged = [], [], 0
    for text, its_text in zip(chapters(edition), chapters(its), strict=True):
        other = read_as(its, its_text, truths)
        unchanged = read_as(edition, text, truths)
        before = told_by_truths(unchanged, truths)
        before_compared = told_by_comparing(unchanged, other, truths)
        ignored = [range(*match.span()) for pattern in OTHERS for match in re.finditer(pattern, text, FLAGS)]
        for change in changes(text):
            audited = read_as(edition, change.text, truths)
            by_truths = bool(told_by_truths(audited, truths) - before)
            where = f"{edition}, {text.splitlines()[2]}, line {change.line}: {change.what}"
            judged += by_truths
            if edition == GUIDE and not by_truths and not any(change.where in each for each in ignored):
                unknown.append(where)
            if not by_truths and not told_by_comparing(audited, other, truths) - before_compared:
                missed.append(where)
    assert "\n".join(missed) == ""
    assert judged > 45
    assert "\n".join(unknown) == "", "name the setting beside the number, as in `10 s (daemon.revoke_grace)`"


def changed_settings(truths: Truths) -> Iterator[tuple[str, str]]:
    """Each key, and the configuration with another value for it."""
    text = config().text
    for key, (setting,) in truths.values.items():
        line = int(setting.origin.split(":")[1])
        lines = text.splitlines(keepends=True)
        name = key.rpartition(".")[2]
        lines[line - 1] = re.sub(rf"({name}:\s*).*", rf"\g<1>{another(setting.value)}", lines[line - 1])
        yield key, "".join(lines)


def test_every_value_of_the_configuration_that_is_changed_is_noticed(truths: Truths, tmp_path: Path) -> None:
    """By the defaults of the code; and where no code is known, by both editions of the guide."""
    file = tmp_path / "config.yml"
    (tmp_path / "gpulockd" / "config").mkdir(parents=True)
    (tmp_path / "gpulockd" / "config" / "model.py").touch()
    own = {"generic": PROFILES["generic"]}
    guides = []
    for edition in EDITIONS:
        (chapter,) = (each for each in chapters(edition) if "gpu_lock.max_wait_time` | `1800`" in each)
        guides.append(tmp_path / Path(edition).name)
        guides[-1].write_text(chapter)
    for key, text in changed_settings(truths):
        file.write_text(text)
        findings = audit(Request(tmp_path, [file], guides, None, PROFILES)).findings
        assert told_of(findings, key, "default-differs"), key
        findings = audit(Request(tmp_path, [file], guides, None, own)).findings
        told = [each for each in findings if each.rule == "value-in-table" and each.says.startswith(f"{key} is")]
        assert {each.place.file for each in told} == {"guide.md", "guide.zh.md"}, key


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
    codes |= {status for _, status in command._STATUS} | {command.LOST, exits.REFUSED, exits.NOT_PERMITTED}
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
