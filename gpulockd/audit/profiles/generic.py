"""A project of any kind: its configuration is what its files say, all else what its rules file names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import served_by, yamltext
from ..commandline import of_sources
from ..quantities import whole
from ..rulesfile import Order, RulesFile
from ..source import Place, Source, Unreadable, read
from ..truths import Binding, Refusal, Refuses, Setting, Truths

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
    "_bytes": "B",
    "_kib": "KiB",
    "_mib": "MiB",
    "_gib": "GiB",
}


class Generic:
    """The profile of a project that nobody has written one for."""

    def fits(self, configs: Sequence[Source]) -> bool:  # noqa: ARG002  # any will do
        return True

    def truths(self, configs: Sequence[Source], rules: RulesFile, root: Path) -> Truths:
        values = values_of(configs, rules)
        told = [rules.variable_prefix] if rules.variable_prefix else []
        return Truths(
            values,
            variables=_variables(values, rules),
            variable_prefixes=tuple(told),
            spoken=rules.names,
            programs={
                name: of_sources(name, [_text(root / file) for file in files]) for name, files in rules.programs.items()
            },
            routes=routes_of(rules, root),
            metrics=metrics_of(rules, root),
            metric_prefixes=tuple(rules.metric_prefixes),
            alerts=alerts_of(rules, root),
            exit_codes=frozenset(rules.exit_codes),
            port_keys=tuple(rules.port_keys),
            bindings=bindings_of(rules),
            refuses=_refusing(rules),
            packages=tuple(rules.packages),
        )


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


def routes_of(rules: RulesFile, root: Path) -> dict[str, frozenset[str]] | None:
    """None where the rules file tells of no routes."""
    if rules.routes is None and not rules.routes_in:
        return None
    listed = {path: frozenset(methods) for path, methods in (rules.routes or {}).items()}
    return served_by.routes_of(_texts(rules.routes_in, root)) | listed


def metrics_of(rules: RulesFile, root: Path) -> frozenset[str] | None:
    """None where the rules file tells of no metrics."""
    if rules.metrics is None and not rules.metrics_in:
        return None
    return served_by.metrics_of(_texts(rules.metrics_in, root)) | frozenset(rules.metrics or ())


def bindings_of(rules: RulesFile) -> list[Binding]:
    return [
        Binding(each.files, each.pattern, each.key, each.relation, each.factor, each.why) for each in rules.bindings
    ]


def alerts_of(rules: RulesFile, root: Path) -> frozenset[str] | None:
    """The names that the rule files give to alerts; None where no such file is told of."""
    if not rules.alerts:
        return None
    trees = [yamltext.read(text) for text in _texts(rules.alerts, root)]
    leaves = [leaf for tree in trees if isinstance(tree, yamltext.Tree) for leaf in tree.leaves]
    return frozenset(str(leaf.value) for leaf in leaves if leaf.path[-1] == "alert")


def _texts(patterns: Sequence[str], root: Path) -> list[str]:
    return [_text(path) for pattern in patterns for path in sorted(root.glob(pattern))]


def _text(path: Path) -> str:
    """Raises `Unreadable`, with the place."""
    try:
        return read(path, str(path)).text
    except Unreadable as trouble:
        raise Unreadable(trouble.why, trouble.hint, trouble.place or Place(str(path))) from None


def _refusing(rules: RulesFile) -> Refuses | None:
    """Whether the settings are in the order that the rules file wants."""
    if not rules.order:
        return None

    def refuses(text: str) -> list[Refusal]:
        tree = yamltext.read(text)
        if isinstance(tree, yamltext.Broken):
            return []
        source = Source(Path(), "", text)
        by_key = {".".join(leaf.path): leaf for leaf in tree.leaves}
        found = []
        for order in rules.order:
            smaller, larger = by_key.get(order.smaller), by_key.get(order.larger)
            if smaller and larger and (why := _in_disorder(order, smaller, larger)):
                place = source.place(smaller.start)
                found.append(Refusal(place.line, place.column, why, order.why))
        return found

    return refuses


def _in_disorder(order: Order, smaller: yamltext.Leaf, larger: yamltext.Leaf) -> str | None:
    low, high = whole(str(smaller.value)), whole(str(larger.value))
    if low is None or high is None or low.number <= high.number:
        return None
    return f"{order.smaller} is {smaller.written}, and must be at most {order.larger}, {larger.written}"


def unit_of(key: str, rules: RulesFile) -> str | None:
    name = key.rpartition(".")[2]
    if (unit := rules.units.get(key, rules.units.get(name))) is not None:
        return unit
    return unit_by_name(name)


def unit_by_name(name: str) -> str | None:
    """What the name of a key says: `wait_seconds`, `max_buffered_mib_per_user`."""
    words = f"{name.lower()}_"
    return next((unit for ending, unit in _UNIT_ENDINGS.items() if f"{ending}_" in words), None)


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
