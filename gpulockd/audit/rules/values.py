"""A value in a document that differs from the configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from ..claims import Claim
from ..findings import Edit, Finding
from ..project import Project
from ..quantities import agrees, seconds_of, whole
from ..truths import Setting, Truths

RULES: Mapping[str, str] = {
    "value-in-block": "a value in a fenced block differs from the configuration",
    "value-in-table": "a value in a table's cell differs from the configuration",
    "value-in-prose": "a value in a sentence or in inline code differs from the configuration",
    "value-in-environment": "a variable of the environment is given another value than the configuration has",
}


def check(project: Project) -> Iterator[Finding]:
    for audited in project.documents:
        for claim in audited.claims:
            if claim.role == "claim" and (wrong := _contradicted(claim, project.truths)):
                yield _finding(claim, wrong)


def _contradicted(claim: Claim, truths: Truths) -> Setting | None:
    """The setting that the claim is wrong about; None where it is right about one that it can mean."""
    settings = [setting for key in claim.keys for setting in _meant(claim, key, truths)]
    written = _in(claim.written, claim.unit)
    answers = [agrees(written, setting.value, setting.unit) for setting in settings]
    return settings[0] if answers and all(answer is False for answer in answers) else None


def _meant(claim: Claim, key: str, truths: Truths) -> Sequence[Setting]:
    if claim.of_default and key in truths.defaults:
        return [truths.defaults[key]]
    return truths.settings(key)


def _finding(claim: Claim, setting: Setting) -> Finding:
    marked = "if this is no claim about now, say so: 'Example:', 'Suggestion:', or a heading that does"
    return Finding(
        f"value-in-{claim.where}",
        claim.source.place(claim.start),
        f"{setting.key} is {claim.written} here",
        f"it is {shown(setting.value)}",
        setting.origin,
        marked if claim.where == "block" else "",
        _edit(claim, setting),
    )


def _edit(claim: Claim, setting: Setting) -> Edit | None:
    """Blocks and cells have one right answer; a sentence may need other words around it."""
    if claim.where not in {"block", "table"} or len(claim.keys) > 1:
        return None
    old = claim.source.text[claim.start : claim.end]
    new = corrected(old, setting, claim.unit)
    return Edit(claim.source.name, claim.start, claim.end, new) if new else None


def corrected(old: str, setting: Setting, unit: str | None) -> str | None:
    """`old` with the right value, in the same unit and quotes; None where it cannot be said so."""
    number = re.match(r"[-+−]?[\d.,]+", old)
    said = whole(old)
    if said and said.kind == "time" and number and said.written is not None:
        amount = in_unit(setting, old[number.end() :].strip())
        new = amount and amount + old[number.end() :]
    elif said and said.kind:
        return None
    elif unit:
        new = in_unit(setting, unit)
    else:
        quote = old[0] if old[:1] in {'"', "'"} and isinstance(setting.value, str) else ""
        new = quote + (str(setting.value) if quote else shown(setting.value)) + quote
        if not quote and isinstance(setting.value, str) and not re.fullmatch(r"[\w./-]+(?::[\w./-]+)*", new):
            return None
    return new if new and agrees(_in(new, unit), setting.value, setting.unit) else None


def in_unit(setting: Setting, unit: str) -> str | None:
    """A setting's number in `unit`, if it has a short one there."""
    quantity = whole(shown(setting.value))
    if quantity is None or seconds_of(unit) is None:
        return None
    seconds = quantity.number if quantity.kind == "time" else quantity.number * (seconds_of(setting.unit or "s") or 1)
    number = seconds / (seconds_of(unit) or 1)
    return f"{number:g}" if float(f"{number:g}") == number else None


def _in(written: str, unit: str | None) -> str:
    """A bare number with the unit that its column or header gives to it."""
    quantity = whole(written) if unit else None
    return f"{written} {unit}" if quantity and not quantity.kind else written


def shown(value: object) -> str:
    """A value as it stands in YAML."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case "":
            return '""'
        case float() if math.isinf(value):
            return "forever"
        case float() if value.is_integer():
            return str(int(value))
        case tuple():
            return f"[{', '.join(map(str, value))}]"
        case _:
            return str(value)
