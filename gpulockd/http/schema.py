"""JSON Schema of a `TypedDict`: what the description of the answers is generated from, so that it cannot differ.

(pydantic does the same from Python 3.12 on; before that it refuses those of `typing`.)
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]
_PLAIN: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    object: {},
}


def schema_of(form: Any, definitions: dict[str, Schema]) -> Schema:
    """A reference to its definition, which is added to `definitions` with all that it needs.

    Raises `TypeError` for what JSON has no form for.
    """
    if is_typeddict(form):
        if form.__name__ not in definitions:
            definitions[form.__name__] = {}  # forms may contain themselves
            definitions[form.__name__] = _object(form, definitions)
        return {"$ref": f"#/components/schemas/{form.__name__}"}
    if form in _PLAIN:
        return dict(_PLAIN[form])
    origin, inner = get_origin(form), get_args(form)
    if origin is list:
        return {"type": "array", "items": schema_of(inner[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1], definitions)}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(each, definitions) for each in inner]}
    if origin is NotRequired:
        return schema_of(inner[0], definitions)
    raise TypeError(f"JSON has no form for {form}")


def _object(form: Any, definitions: dict[str, Schema]) -> Schema:
    said = _remarks(form.__module__).get(form.__name__, {})
    properties = {}
    hints = get_type_hints(form, include_extras=True)
    required = sorted(name for name, hint in hints.items() if get_origin(hint) is not NotRequired)
    for name, hint in hints.items():
        found = schema_of(hint, definitions)
        properties[name] = {**found, "description": said[name]} if name in said else found
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    if "" in said:
        schema["description"] = said[""]
    return schema


@cache
def _remarks(module: str) -> Mapping[str, Mapping[str, str]]:
    """What a module says of each class, under "", and of its fields, in the strings below them."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if not isinstance(node, ast.ClassDef):
            continue
        said = found[node.name] = {}
        if docstring := ast.get_docstring(node):
            said[""] = docstring
        for line, below in pairwise(node.body):
            match line, below:
                case ast.AnnAssign(target=field), ast.Expr(value=ast.Constant(value=str(remark))):
                    said[ast.unparse(field)] = inspect.cleandoc(remark)
    return found
