"""Who takes part: the contenders that are here, ready to be forked; the others are noted as absent."""

from __future__ import annotations

from collections.abc import Iterable

from bench.cells import Absences
from bench.contenders import CONTENDERS
from bench.locks import Lock
from bench.stage import Stage
from gpulockd.evidence.bench.processes import ServerFailed
from gpulockd.evidence.bench.programs import Missing


def entries(stage: Stage, names: Iterable[str], absences: Absences) -> dict[str, Lock]:
    """A lock of each, whose server runs."""
    found: dict[str, Lock] = {}
    for name in names:
        try:
            found[name] = CONTENDERS[name](stage)
        except (Missing, ServerFailed) as error:
            absences.note(name, error)
    return found
