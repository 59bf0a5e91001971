"""The events that documents have to know, by the code that announces them."""

from __future__ import annotations

import ast

from .markdown import ROOT

SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "gpulockd").rglob("*.py")))


def alarms() -> set[str]:
    """The kinds of events that are announced as a warning or an error."""
    found = set()
    for node in ast.walk(ast.parse(SOURCE.replace("from __future__ import annotations", ""))):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        called = ast.unparse(node.func).rpartition(".")[2].lower()
        severities = {ast.unparse(argument) for argument in node.args[1:]}
        if called == "announce" and severities & {"Severity.WARNING", "Severity.ERROR"}:
            found.add(str(node.args[0].value))
    return found
