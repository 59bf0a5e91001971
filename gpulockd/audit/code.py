"""What Python sources have, read and never run: symbols, options of parsers, routes, metrics, defaults of settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

Known: TypeAlias = bool | None
"""Whether there is such a symbol; None where that cannot be told without running the code."""


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    content: bytes = field(repr=False)
    tree: ast.Module = field(repr=False)

    @cached_property
    def names(self) -> Mapping[str, ast.AST]:
        """What its top level defines or imports, within `if` and `try` too."""
        return dict(_definitions(self.tree.body))

    @cached_property
    def words(self) -> frozenset[str]:
        """All texts in it, for modules that look their names up themselves (`__getattr__`)."""
        texts = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant))
        return frozenset(word for text in texts if isinstance(text, str) for word in text.split())

    def says(self, word: str) -> bool:
        """Whether its code has the word: as a name, an attribute, an argument, or in a text; comments do not count."""
        return word.encode() in self.content and word in self._said

    @cached_property
    def _said(self) -> frozenset[str]:
        found: set[str] = set()
        for node in ast.walk(self.tree):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                    found.add(name)
                case ast.Constant(value=str(text)):
                    found.update(re.findall(r"[\w-]+", text))
                case _:
                    pass
        return frozenset(found)


class Code:
    """The packages of a project."""

    def __init__(self, packages: Sequence[Path]) -> None:
        self._packages = packages

    @cached_property
    def modules(self) -> Mapping[str, Module]:
        found: dict[str, Module] = {}
        for package in self._packages:
            for path in sorted(package.rglob("*.py")):
                parts = [package.name, *path.relative_to(package).with_suffix("").parts]
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                try:
                    content = path.read_bytes()
                    found[name] = Module(name, path, content, ast.parse(content))
                except (OSError, SyntaxError, ValueError):
                    continue
        return found

    @cached_property
    def tops(self) -> frozenset[str]:
        return frozenset(package.name for package in self._packages)

    @cached_property
    def classes(self) -> Mapping[str, list[tuple[Module, ast.ClassDef]]]:
        found: dict[str, list[tuple[Module, ast.ClassDef]]] = {}
        for module in self.modules.values():
            for name, node in module.names.items():
                if isinstance(node, ast.ClassDef):
                    found.setdefault(name, []).append((module, node))
        return found

    def has(self, symbol: str) -> Known:
        """Whether `package.module.Class.method` is there."""
        parts = symbol.split(".")
        end = next((end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in self.modules), 0)
        return self._in_module(self.modules[".".join(parts[:end])], parts[end:], 0) if end else None

    def class_has(self, name: str, member: str) -> Known:
        """Whether a class of that name, whichever, has the member; None where there is no such class."""
        answers = [self._in_class(module, node, member, 0) for module, node in self.classes.get(name, ())]
        return None if not answers or None in answers else any(answers)

    def _in_module(self, module: Module, parts: list[str], depth: int) -> Known:
        if not parts:
            return True
        node = module.names.get(parts[0])
        if node is None:
            return None if "*" in module.names else "__getattr__" in module.names and parts[0] in module.words
        if isinstance(node, ast.ClassDef) and len(parts) > 1:
            return self._in_class(module, node, parts[1], depth) if len(parts) == 2 else None
        if isinstance(node, ast.ImportFrom) and depth < 10:
            origin = self._origin(module, node)
            real = next((each.name for each in node.names if (each.asname or each.name) == parts[0]), parts[0])
            if f"{origin}.{real}" in self.modules:
                return self._in_module(self.modules[f"{origin}.{real}"], parts[1:], depth + 1)
            if origin in self.modules:
                return self._in_module(self.modules[origin], [real, *parts[1:]], depth + 1)
        return True if len(parts) == 1 else None

    def _in_class(self, module: Module, node: ast.ClassDef, member: str, depth: int) -> Known:
        members = {name for name, _ in _definitions(node.body)}
        members |= {
            target.attr
            for target in ast.walk(node)
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
        }
        if member in members:
            return True
        answers: list[Known] = []
        for base in node.bases:
            known = module.names.get(base.id) if isinstance(base, ast.Name) else None
            if isinstance(known, ast.ClassDef) and depth < 10:
                answers.append(self._in_class(module, known, member, depth + 1))
            else:
                answers.append(None)  # a class of somewhere else, whose members nobody knows here
        return True if True in answers else None if None in answers or node.decorator_list else False

    def _origin(self, module: Module, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        is_package = module.path.name == "__init__.py"
        parts = module.name.split(".")
        base = parts[: len(parts) - node.level + is_package]
        return ".".join([*base, *([node.module] if node.module else [])])


def _definitions(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.Import() | ast.ImportFrom():
                for each in node.names:
                    yield each.asname or each.name.split(".")[0], node
            case ast.Assign(targets=targets):
                for target in targets:
                    for part in ast.walk(target):
                        if isinstance(part, ast.Name):
                            yield part.id, node
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.If() | ast.Try() | ast.With() | ast.For() | ast.While():
                inner: list[ast.stmt] = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)]
                for each in getattr(node, "handlers", ()):
                    inner += each.body
                yield from _definitions(inner)
            case _:
                pass


@dataclass(frozen=True, slots=True)
class CodeDefault:
    """A value that code has for a name where nobody sets it."""

    name: str
    value: str | int | float | bool
    path: Path
    line: int
    column: int


def defaults_in(module: Module) -> Iterator[CodeDefault]:
    """Of parameters, of attributes of classes, of `get("name", default)`, and of constants."""
    for node in ast.walk(module.tree):
        match node:
            case ast.arguments():
                positional = [*node.posonlyargs, *node.args]
                pairs = [*zip(positional[::-1], node.defaults[::-1], strict=False)]
                pairs += [
                    (arg, default) for arg, default in zip(node.kwonlyargs, node.kw_defaults, strict=True) if default
                ]
                for argument, default in pairs:
                    yield from _default(argument.arg, default, module)
            case ast.Call(
                func=ast.Attribute(attr="get" | "getenv" | "pop"), args=[ast.Constant(value=str(name)), default]
            ):
                yield from _default(name, default, module)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as default):
                yield from _default(name, default, module)
            case ast.Assign(targets=[ast.Name(id=name)], value=default):
                yield from _default(name, default, module)
            case _:
                pass


def _default(name: str, node: ast.expr, module: Module) -> Iterator[CodeDefault]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool) and node.value != "":
        yield CodeDefault(name, node.value, module.path, node.lineno, node.col_offset + 1)
