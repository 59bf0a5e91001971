"""A project of any kind: its configuration is what its files say, all else what its rules file names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import yamltext
from ..rulesfile import RulesFile
from ..source import Source, Unreadable
from ..truths import Setting, Truths

_UNIT_ENDINGS = {
    "_ms": "ms",
    "_millis": "ms",
    "_milliseconds": "ms",
    "_seconds": "s",
    "_secs": "s",
    "_sec": "s",
    "_minutes": "min",
    "_mins": "min",
    "_hours": "h",
    "_days": "d",
}


class Generic:
    """The profile of a project that nobody has written one for."""

    def fits(self, configs: Sequence[Source]) -> bool:  # noqa: ARG002  # any will do
        return True

    def truths(self, configs: Sequence[Source], rules: RulesFile, root: Path) -> Truths:  # noqa: ARG002  # every profile's form
        values = values_of(configs, rules)
        return Truths(values, variables=_variables(values, rules), spoken=rules.names)


def values_of(configs: Sequence[Source], rules: RulesFile) -> dict[str, list[Setting]]:
    """Each key that a file sets, with one setting for each of the files. Raises `Unreadable`."""
    found: dict[str, list[Setting]] = {}
    for source in configs:
        tree = yamltext.read(source.text)
        if isinstance(tree, yamltext.Broken):
            raise Unreadable(f"is not YAML: {tree.why}", "correct it first", source.place(tree.offset))
        for leaf in tree.leaves:
            if "[]" not in leaf.path:
                key = ".".join(leaf.path)
                found.setdefault(key, []).append(
                    Setting(key, leaf.value, str(source.place(leaf.start)), unit_of(key, rules), source.place(leaf.key))
                )
    return found


def unit_of(key: str, rules: RulesFile) -> str | None:
    name = key.rpartition(".")[2]
    if (unit := rules.units.get(key, rules.units.get(name))) is not None:
        return unit
    return next((unit for ending, unit in _UNIT_ENDINGS.items() if name.lower().endswith(ending)), None)


def _variables(values: dict[str, list[Setting]], rules: RulesFile) -> dict[str, str | None] | None:
    """`PREFIX` + the key in capitals, where the rules file tells the prefix; and the names that it lists."""
    if rules.variable_prefix is None and not rules.variables:
        return None
    found: dict[str, str | None] = dict.fromkeys(rules.variables)
    if rules.variable_prefix is not None:
        for key in values:
            name = key.upper().replace(".", rules.variable_separator).replace("-", "_")
            found[rules.variable_prefix + name] = key
    return found
