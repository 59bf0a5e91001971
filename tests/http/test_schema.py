"""JSON Schema of the forms of answers, field by field."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

import pytest

from gpulockd.http.schema import Schema, schema_of


class Leaf(TypedDict):
    """What is inside."""

    size: int
    """In bytes."""


class Tree(TypedDict):
    leaves: list[Leaf]
    named: dict[str, float]
    kind: Literal["oak", "fir"]
    child: NotRequired[Tree]
    note: str | None
    anything: object
    alive: bool


def test_a_form_with_all_that_may_be_in_it() -> None:
    definitions: dict[str, Schema] = {}
    assert schema_of(Tree, definitions) == {"$ref": "#/components/schemas/Tree"}
    assert definitions["Leaf"] == {
        "type": "object",
        "description": "What is inside.",
        "properties": {"size": {"type": "integer", "description": "In bytes."}},
        "required": ["size"],
    }
    assert definitions["Tree"] == {
        "type": "object",
        "properties": {
            "leaves": {"type": "array", "items": {"$ref": "#/components/schemas/Leaf"}},
            "named": {"type": "object", "additionalProperties": {"type": "number"}},
            "kind": {"enum": ["oak", "fir"]},
            "child": {"$ref": "#/components/schemas/Tree"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "anything": {},
            "alive": {"type": "boolean"},
        },
        "required": ["alive", "anything", "kind", "leaves", "named", "note"],
    }


@pytest.mark.parametrize("form", [set[int], tuple[int, ...], bytes, Any])
def test_what_json_has_no_form_for(form: object) -> None:
    with pytest.raises(TypeError, match="JSON has no form for"):
        schema_of(form, {})
