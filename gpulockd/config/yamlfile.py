"""Reads YAML into plain values, and keeps where each of them stands.

Only what a configuration needs: mappings, lists and scalars. Aliases and tags are refused: nothing here needs
them, and they are how a small file becomes a large or a harmful one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from .problems import Place, Problem

MAX_BYTES = 256 * 1024
"""The longest file that is read; ours has some kilobytes, and the parser is not the fastest."""

Path = tuple[str, ...]
"""Keys from the top to a value."""

_TYPED = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null")}
_KNOWN = _TYPED | {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "timestamp", "merge", "value")}
"""What is not typed, and neither a mapping nor a list, is text here: no setting is a date."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's content. What cannot be used is left out of `values` and told in `problems`."""

    values: dict[str, Any]
    keys: Mapping[Path, Place]
    places: Mapping[Path, Place]
    """Where the value of each key begins."""
    problems: tuple[Problem, ...]


def read_document(content: bytes, file: str) -> Document:
    """The mapping that `content` is. Never raises, whatever the file holds."""
    reader = _Reader(file)
    values: dict[str, Any] = {}
    with suppress(_Unusable):
        values = reader.root(reader.compose(reader.decode(content)))
    return Document(values, reader.keys, reader.places, tuple(reader.problems))


def read_value(text: str, source: str) -> tuple[Any, tuple[Problem, ...]]:
    """One value as it could stand behind a key (`30m`, `[alice, 1001]`); None if there are problems."""
    reader = _Reader(source)
    with suppress(_Unusable):
        node = reader.compose(text)
        return ("" if node is None else reader.value(node, ())), ()
    return None, tuple(reader.problems)


class _Unusable(Exception):
    """Ends the reading of a value; the problem is noted already."""


@dataclass(slots=True)
class _Reader:
    file: str
    keys: dict[Path, Place] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _met: set[int] = field(default_factory=set)
    """Identities of the nodes met so far; one that comes again stands behind an alias."""

    def decode(self, content: bytes) -> str:
        if len(content) > MAX_BYTES:
            self._refuse(Place(self.file, 1, 1), "too long for a configuration", f"at most {MAX_BYTES} bytes")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            place = self._place_after(content[: error.start].decode("utf-8-sig"))
            self._refuse(place, f"the byte 0x{content[error.start]:02x} is not UTF-8", "save the file as UTF-8")

    def compose(self, text: str) -> Node | None:
        """The tree of nodes; None where there is no content."""
        try:
            return YAML(typ="safe", pure=True).compose(text)  # type: ignore[no-any-return]
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file, 1, 1)
            self._refuse(place, *_explain(error))
        except ReaderError as error:
            place = self._place_after(text[: error.position])
            self._refuse(place, f"the character U+{_code(error.character):04X} cannot stand in YAML", "remove it")
        except RecursionError:
            self._refuse(Place(self.file, 1, 1), "brackets are nested too deeply", "no setting needs that")
        except (YAMLError, ValueError) as error:
            self._refuse(Place(self.file, 1, 1), f"not YAML: {error}")

    def root(self, node: Node | None) -> dict[str, Any]:
        if node is None:
            hint = "remove the file to run on the defaults, or write {} into it"
            self._refuse(Place(self.file, 1, 1), "there is nothing in it", hint)
        if not isinstance(node, MappingNode):
            hint = "begin with a section, such as `gpu_lock:`"
            self._refuse(self._place(node), f"must consist of sections, and is {_kind(node)}", hint)
        return self._mapping(node, ())

    def value(self, node: Node, path: Path) -> Any:
        if id(node) in self._met:
            place = self.keys.get(path, self._place(node))
            self._refuse(place, "an alias cannot be used here", "repeat the value itself", path)
        self._met.add(id(node))
        if str(node.tag) not in _KNOWN:
            self._refuse(self._place(node), f"the tag {node.tag} cannot be used here", "leave it out", path)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, path) for item in node.value]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            with suppress(_Unusable):
                inner = self._key(key, value, path)
                values[inner[-1]] = self.value(value, inner)
        return values

    def _key(self, key: Node, value: Node, path: Path) -> Path:
        place = self._place(key)
        if not isinstance(key, ScalarNode):
            self._refuse(place, f"a key must be a word, and this is {_kind(key)}", key=path)
        inner = (*path, str(key.value))
        if inner in self.keys:
            hint = f"the first is on line {self.keys[inner].line}; keep one of them"
            self._refuse(place, "given twice", hint, inner)
        is_empty = value.start_mark.index == value.end_mark.index
        self.keys[inner], self.places[inner] = place, place if is_empty else self._place(value)
        return inner

    def _scalar(self, node: Node, path: Path) -> Any:
        if str(node.tag) not in _TYPED:
            return str(node.value)
        try:
            return YAML(typ="safe", pure=True).constructor.construct_object(node)
        except ValueError:
            return self._refuse(
                self._place(node), "cannot be read", "too many digits, or a tag that does not fit", path
            )

    def _refuse(self, place: Place, message: str, hint: str = "", key: Path = ()) -> NoReturn:
        self.problems.append(Problem.at(place, ".".join(key), message, hint))
        raise _Unusable

    def _place(self, node: Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _place_after(self, text: str) -> Place:
        return Place(self.file, text.count("\n") + 1, len(text) - text.rfind("\n"))


def _code(character: str | int) -> int:
    return character if isinstance(character, int) else ord(character)


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, SequenceNode) else "a single value"


def _explain(error: MarkedYAMLError) -> tuple[str, str]:
    """What the parser found, and what to do about the mistakes that people make."""
    problem = str(error.problem or error.context)
    if "\\t" in problem:
        return "a tab cannot indent YAML", "use spaces"
    if "mapping values are not allowed" in problem:
        return "a colon where no key can stand", "check the indentation, or quote the value"
    if "another document" in problem:
        return "a second document begins here", "one file is one document: remove the `---`"
    if "end of stream" in problem or "stream end" in problem:
        opened = f" what line {error.context_mark.line + 1} opens" if error.context_mark else ""
        return f"it ends before it closes{opened}", "a quote or a bracket is missing"
    if "expected <block end>" in problem:
        return "the indentation fits none of the lines above", "keys of one section begin in one column"
    return f"not YAML: {problem}", str(error.context or "")
