"""A value in a document that differs from the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..claims import Claim
from ..findings import Edit, Finding
from ..project import Project
from ..quantities import agrees, seconds_of, unit_in, whole
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
    written = claim.written
    if claim.unit and (quantity := whole(written)) and not quantity.kind:
        written = f"{written} {claim.unit}"
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
    text = claim.source.text[claim.start : claim.end]
    said = whole(text)
    if said is None or not said.kind:
        right = in_unit(setting, claim.unit) if claim.unit else shown(setting.value)
    elif said.kind == "time" and said.written is not None:
        number = text.rstrip("0123456789")  # the unit stays as it is written
        unit = text[len(text) - len(text.lstrip("+-−0123456789.,")) :].strip()
        converted = in_unit(setting, unit_in(unit) or unit)
        right = None if converted is None else text.replace(text[: len(text) - len(unit)].strip(), converted, 1)
        del number
    else:
        right = None
    return None if right is None else Edit(claim.source.name, claim.start, claim.end, right)


def in_unit(setting: Setting, unit: str) -> str | None:
    """A setting's number in `unit`, if it has a short one there."""
    quantity = whole(shown(setting.value))
    if quantity is None:
        return None
    seconds = quantity.number if quantity.kind == "time" else quantity.number * seconds_of(setting.unit or "s")
    try:
        number = seconds / seconds_of(unit.lower())
    except KeyError:
        return None
    return f"{number:g}" if float(f"{number:g}") == number else None


def shown(value: object) -> str:
    """A value as it stands in YAML."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case "":
            return '""'
        case float() if value == int(value) and abs(value) < 1e15:
            return str(int(value))
        case tuple():
            return f"[{', '.join(map(str, value))}]"
        case _:
            return str(value)
