"""Every document: what it links to, names and tells people to type is there, and is understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpulock import options
from gpulockd import arguments as daemon_arguments
from gpulockd.config.keys import SETTINGS
from gpulockd.ctl import arguments
from gpulockd.ctl.catalogue import COMMANDS

from .markdown import ROOT
from .prose import DOCUMENTS, OURS, Said, anchors, commands, links, spans, words

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))

# A name in backticks that is meant as a file of this repository, by its ending or its folder. `core/lock.py` is said
# for short where the daemon's package is meant.
FILE = re.compile(r"(?!/)[\w./-]+(\.(py|md|yml|toml|lua|sql|service|socket)|/)")
PLACES = (ROOT, ROOT / "gpulockd", ROOT / "client", ROOT / "client" / "gpulock")
PACKAGES = (ROOT / "gpulockd", ROOT / "client")
NO_FILES = {"dist/", "utils.py", *SETTINGS}
"""What a command makes that stands beside it; what there will never be; and `daemon.socket` is a setting."""


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in links(document):
        if re.match(r"[a-z]+://", link.text):
            continue
        name, _, anchor = link.text.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), f"{document.name}:{link.line}: {link.text}"
        if anchor:
            assert anchor in anchors(target), f"{document.name}:{link.line}: {link.text}"


@each_document
def test_files_that_are_named_exist(document: Path) -> None:
    missing = [
        f"{span.line}: {span.text}"
        for span in spans(document)
        if FILE.fullmatch(span.text) and span.text not in NO_FILES
        if not any((place / span.text).exists() for place in (*PLACES, document.parent))
        if "/" in span.text or not any(any(place.rglob(span.text)) for place in PACKAGES)
    ]
    assert missing == []


@each_document
def test_what_is_to_be_typed_is_understood(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [*commands(document), *(span for span in spans(document) if len(span.text.split()) > 1)]
    for command in said:
        program, *rest = words(command.text) if command.text.split()[0].rpartition("/")[2] in OURS else ["", ""]
        understood(program, rest, f"{document.name}:{command.line}: {command.text}", capsys)


def understood(program: str, rest: list[str], where: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Has the program's own parser read the line."""
    problem = ""
    try:
        match program:
            case "gpulock":
                options.parse(rest)
            case "gpulockctl" if len(rest) == 1 and not rest[0].startswith("-"):
                problem = "" if rest[0] in COMMANDS else "no such command"
            case "gpulockctl":
                arguments.parse(rest)
            case "gpulockd":
                daemon_arguments.parser().parse_args(rest)
            case "make":
                targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
                problem = " ".join({word for word in rest if "=" not in word} - set(targets))
    except options.UsageError as error:
        problem = str(error)
    except SystemExit as end:
        problem = capsys.readouterr().err if end.code else ""
    assert problem == "", where


def test_wrong_commands_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The tests above would be worth nothing if everything were understood."""
    for command in ("gpulock --wiat 3 -- true", "gpulockctl status --feet", "gpulockctl wyh", "gpulockd --port 3"):
        program, *rest = words(command)
        with pytest.raises(AssertionError):
            understood(program, rest, command, capsys)
    assert words("/opt/gpulockd/bin/gpulockd --check  # first") == ["gpulockd", "--check"]
    assert anchors(ROOT / "docs" / "protocol.md") >= {"methods", "status-queue-why-describe-config"}
    assert Said("docs/architecture.md", 0).text in {link.text for link in links(ROOT / "CONTRIBUTING.md")}
