"""`python -m bench`: measures, judges by the bars, and writes the report.

Exit status 1: a quick run has broken a bar. A full one ends with 0 whatever it found; that is in its report.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import machine, report
from bench.bars import bars_of
from bench.cells import Absences, Run
from bench.judgement import judge, tell
from bench.plans import FULL, QUICK
from bench.progress import Progress
from bench.runner import Runner
from bench.servers import allow_many_files
from bench.works.catalogue import BY_NAME, GATE

REPORT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the servers end in good order
    allow_many_files()
    plan = QUICK if options.quick else FULL
    if options.rounds:
        plan = dataclasses.replace(plan, rounds=options.rounds)
    names = options.only or (GATE if options.quick else list(BY_NAME))
    absences = Absences()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    with Progress(console, [BY_NAME[name] for name in names]) as progress:
        samples = Runner(plan, absences, progress.show).measure([BY_NAME[name] for name in names])
    run = Run(machine.describe(), _command(options), plan.name, absences.reasons, samples)
    judged = [judge(run, bar, generous=options.quick) for bar in bars_of(names, quick=options.quick)]
    tell(console, run, judged)
    if options.output or not (options.quick or options.only):
        where = options.output or REPORT
        report.write(run, where)
        console.print(f"written: {where}")
    return 1 if options.quick and any(judgement.broken for judgement in judged) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="The lock beside what people would use instead.")
    parser.add_argument("--quick", action="store_true", help="under two minutes, ratios only, generous bars; no report")
    parser.add_argument("--only", action="append", choices=list(BY_NAME), metavar="WORK", help=", ".join(BY_NAME))
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where the report goes; that of all works: docs/performance.md"
    )
    return parser


def _command(options: argparse.Namespace) -> str:
    words = ["python -m bench"]
    words += ["--quick"] if options.quick else []
    words += [f"--only {name}" for name in options.only or ()]
    words += [f"--rounds {options.rounds}"] if options.rounds else []
    return " ".join(words)


if __name__ == "__main__":
    sys.exit(main())
