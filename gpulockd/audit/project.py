"""What the rules look at: the documents with their claims, and what is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .claims import Claim, claims_of
from .document import Document, read_document
from .findings import Finding
from .rulesfile import RulesFile
from .source import Place, Source, Unreadable, read
from .tree import Tree
from .truths import Setting, Truths
from .typed import Line, lines_of


@dataclass(frozen=True)
class Audited:
    document: Document
    claims: Sequence[Claim]

    @property
    def source(self) -> Source:
        return self.document.source

    @cached_property
    def lines(self) -> Sequence[Line]:
        """What it tells people to type."""
        return list(lines_of(self.document))


@dataclass(frozen=True)
class Live:
    """What the running daemon says of itself."""

    settings: Mapping[str, Setting]
    metrics: frozenset[str] | None
    """None: it serves none."""


@dataclass(frozen=True)
class Project:
    root: Path
    truths: Truths
    documents: Sequence[Audited]
    rules: RulesFile = field(default_factory=RulesFile)
    configs: Sequence[Source] = ()
    live: Live | None = None

    @cached_property
    def tree(self) -> Tree:
        return Tree(self.root)

    def shown(self, path: Path) -> str:
        return shown_name(path, self.root)


def read_documents(
    root: Path, files: Sequence[Path], truths: Truths, progress: Callable[[int, int], None]
) -> tuple[list[Audited], list[Finding]]:
    """The documents, and a finding for each file that is none."""
    documents: list[Audited] = []
    troubles: list[Finding] = []
    for number, path in enumerate(files):
        progress(number, len(files))
        name = shown_name(path, root)
        try:
            document = read_document(read(path, name))
        except Unreadable as trouble:
            troubles.append(Finding("file-unreadable", trouble.place or Place(name), trouble.why, "", "", trouble.hint))
            continue
        documents.append(Audited(document, claims_of(document, truths)))
    progress(len(files), len(files))
    return documents, troubles


def shown_name(path: Path, root: Path) -> str:
    try:
        return str(path.relative_to(root))
    except ValueError:
        return str(path)


def markdown_files(paths: Sequence[Path], root: Path, exclude: Sequence[str] = ()) -> Iterator[Path | Finding]:
    """The Markdown files at and below `paths`, each once; a finding for what cannot or must not be entered."""
    met: set[Path] = set()
    for path in paths:
        yield from _below(path, root.resolve(), tuple(exclude), met, named=True)


def _below(
    path: Path, root: Path, exclude: tuple[str, ...], met: set[Path], *, named: bool
) -> Iterator[Path | Finding]:
    name = shown_name(path, root)
    if any(Path(name).match(pattern) for pattern in exclude):
        return
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        loops = isinstance(error, RuntimeError) or "Too many levels" in str(error)
        why = "is a link that leads to itself" if loops else "is not there"
        yield Finding("file-unreadable", Place(name), why, "", "", "remove the link, or correct the path")
        return
    if real in met:
        return
    met.add(real)
    if path.is_symlink() and not real.is_relative_to(root):
        why, hint = "is a link out of the tree, and is not followed", "name its target with --docs if it belongs to it"
        yield Finding("file-outside", Place(name), why, "", "", hint)
    elif real.is_dir():
        try:
            inside = sorted(path.iterdir())
        except OSError as error:
            yield Finding("file-unreadable", Place(name), f"cannot be entered: {error.strerror or error}", "")
            return
        for inner in inside:
            if not inner.name.startswith("."):
                yield from _below(inner, root, exclude, met, named=False)
    elif named or path.suffix.lower() in {".md", ".markdown"}:
        yield path
