"""Links and paths: each leads to a file of the tree, and to a heading in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from ..document import Document, read_document
from ..findings import Edit, Finding
from ..passage import Link, Passage
from ..project import Project
from ..source import Place, Unreadable, read

RULES: Mapping[str, str] = {
    "link-broken": "a relative link to a file that there is not",
    "anchor-broken": "a link to a heading that there is not",
    "path-missing": "a path in backticks, of a folder that exists, to a file that does not",
}
EXTERNAL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_PATH = re.compile(r"(?:\./)?[\w@-][\w.@-]*(?:/[\w.@*-]+)+/?")
_PLACEHOLDER = re.compile(r"(?:^|/)(?:path|your|my|foo|bar|x{3}|example)(?:[-_/]|$)|\.\.\.", re.IGNORECASE)


def check(project: Project) -> Iterator[Finding]:
    anchors = _Anchors(project)
    for audited in project.documents:
        for passage in audited.document.passages:
            for link in passage.links:
                yield from _link(passage, link, audited.document, project, anchors)
            yield from _paths(passage, project)


class _Anchors:
    """The headings of documents, of those too that are not audited."""

    def __init__(self, project: Project) -> None:
        self._known = {audited.source.path.resolve(): audited.document.anchors for audited in project.documents}

    def of(self, path: Path) -> set[str] | None:
        real = path.resolve()
        if real not in self._known:
            try:
                self._known[real] = read_document(read(real, str(path))).anchors
            except Unreadable:
                return None
        return self._known[real]


def _link(passage: Passage, link: Link, document: Document, project: Project, anchors: _Anchors) -> Iterator[Finding]:
    target = unquote(link.target)
    if not target or EXTERNAL.match(target):
        return
    name, _, anchor = target.partition("#")
    name = name.partition("?")[0]
    path = aimed_at(name, document, project)
    if not path.exists():
        yield _broken(passage, link, name, document, project)
    elif anchor and path.suffix.lower() in {".md", ".markdown"}:
        known = anchors.of(path)
        if known is not None and anchor not in known and anchor.lower() not in known:
            near = _only(each for each in known if _bare(each) == _bare(anchor))
            yield Finding(
                "anchor-broken",
                _place(passage, link),
                f"#{anchor} is linked to",
                f"{project.shown(path)} has no such heading",
                hint=f"did you mean #{near}?" if near else "",
                edit=_edit(passage, link, f"#{anchor}", f"#{near}", near),
            )


def aimed_at(name: str, document: Document, project: Project) -> Path:
    """The file that a relative link leads to, without its query and anchor; nothing else of it is looked at."""
    if not name:
        return document.source.path
    base = project.root if name.startswith("/") else document.source.path.parent
    return Path(os.path.normpath(base / name.lstrip("/")))


def _broken(passage: Passage, link: Link, name: str, document: Document, project: Project) -> Finding:
    """With the one file of that name as the right answer, if there is one."""
    other = _only(project.tree.by_name.get(name.rstrip("/").rpartition("/")[2], ()))
    right = None
    if other and (project.root / other).resolve() != document.source.path.resolve():
        right = os.path.relpath(project.root / other, document.source.path.parent)
    return Finding(
        "link-broken",
        _place(passage, link),
        f"{name} is linked to",
        "there is no such file",
        hint=f"did you mean {right}?" if right else "",
        edit=_edit(passage, link, name, right or "", right),
    )


def _place(passage: Passage, link: Link) -> Place:
    return passage.source.place(passage.offset(link.written.start if link.written else link.start))


def _edit(passage: Passage, link: Link, old: str, new: str, right: str | None) -> Edit | None:
    """Puts `new` for `old` in a target that is written without escapes."""
    if right is None or link.written is None or old not in link.written.text or not re.fullmatch(r"[\w./#-]+", new):
        return None
    at = passage.offset(link.written.start + link.written.text.index(old))
    if passage.source.text[at : at + len(old)] != old:
        return None
    return Edit(passage.source.name, at, at + len(old), new)


def _paths(passage: Passage, project: Project) -> Iterator[Finding]:
    """Only what begins with a folder of the tree is meant as a path of it, and not what a command makes."""
    for code in passage.codes:
        text = code.text.removeprefix("./")
        if not _PATH.fullmatch(code.text) or _PLACEHOLDER.search(text) or not project.tree.is_known:
            continue
        places = [project.root, passage.source.path.parent, *(project.root / name for name in project.truths.packages)]
        first = text.split("/")[0]
        homes = [place for place in places if (place / first).is_dir()]
        if homes and not any(_is_there(home, text) for home in places):
            place = passage.source.place(passage.offset(code.start + 1))
            yield Finding("path-missing", place, f"{code.text} is named", f"{first}/ has no such file")


def _is_there(home: Path, text: str) -> bool:
    if "*" in text:
        return any(home.glob(text.rstrip("/")))
    return (home / text).exists()


def _bare(anchor: str) -> str:
    return re.sub(r"[\W_]", "", anchor.lower())


def _only(paths: Iterable[str]) -> str | None:
    found = list(paths)
    return found[0] if len(found) == 1 else None
