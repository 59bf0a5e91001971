"""The leaves of a YAML text: each scalar, the path of keys to it, and where it stands.

For texts of any kind, a compose file as well as a configuration: aliases, tags and several documents are borne.
`gpulockd.config` reads the daemon's own file, and is stricter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str, ...]
_TYPED = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null")}

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """`start` and `end` are offsets of the value, `key` that of its key (or, in a list, of the value)."""

    path: Path
    value: Scalar | tuple[Scalar, ...]
    written: str
    start: int
    end: int
    key: int
    plain: bool
    """Whether it is a scalar without quotes."""


class Broken(NamedTuple):
    why: str
    offset: int


class Tree(NamedTuple):
    leaves: list[Leaf]
    keys: dict[Path, int]
    """Every key, sections too, and where it stands."""


def read(text: str) -> Tree | Broken:
    """Never raises, whatever the text holds."""
    leaves: list[Leaf] = []
    keys: dict[Path, int] = {}
    try:
        for node in YAML(typ="safe", pure=True).compose_all(text):
            if node is not None:
                leaves += _walk(node, (), 0, text, keys, set())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Broken(str(error.problem or error.context), mark.index if mark else 0)
    except (YAMLError, ValueError, RecursionError) as error:
        return Broken(str(error) or "nested too deeply", getattr(error, "position", 0) or 0)
    return Tree(leaves, keys)


def _walk(node: Node, path: Path, key: int, text: str, keys: dict[Path, int], met: set[int]) -> Iterator[Leaf]:
    if id(node) in met:  # behind an alias: its own place has told it
        return
    met.add(id(node))
    if isinstance(node, MappingNode):
        for name, value in node.value:
            if isinstance(name, ScalarNode):
                inner = (*path, str(name.value))
                keys[inner] = name.start_mark.index
                yield from _walk(value, inner, name.start_mark.index, text, keys, met)
    elif isinstance(node, SequenceNode):
        scalars = [item for item in node.value if isinstance(item, ScalarNode)]
        if len(scalars) == len(node.value):
            values = tuple(_value(item) for item in scalars)
            yield _leaf(node, path, key, text, values, plain=False)
        for item in node.value:
            yield from _walk(item, (*path, "[]"), item.start_mark.index, text, keys, met)
    elif isinstance(node, ScalarNode):
        yield _leaf(node, path, key, text, _value(node), plain=not node.style)


def _leaf(node: Node, path: Path, key: int, text: str, value: Scalar | tuple[Scalar, ...], *, plain: bool) -> Leaf:
    start, end = node.start_mark.index, node.end_mark.index
    return Leaf(path, value, text[start:end].strip(), start, end, key, plain)


def _value(node: ScalarNode) -> Scalar:
    """By the tag that YAML 1.2 gives to it; a constructor for each scalar would take most of the time."""
    text = str(node.value)
    try:
        match str(node.tag).rpartition(":")[2] if str(node.tag) in _TYPED else "":
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text.replace("_", ""), 0 if text.lstrip("+-")[:2].lower() in {"0x", "0o", "0b"} else 10)
            case "float":
                return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
            case "null":
                return None
            case _:
                return text
    except ValueError:
        return text
