"""`gpulockctl bench`: settings side by side, with real workers and simulated GPUs. Exits with 1 if nothing passed."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import duration, positive
from ..context import Context
from ..live import ended_by_signal

if TYPE_CHECKING:
    from ...evidence.bench.plan import Plan
    from ...evidence.bench.report import Report

USAGE, CANNOT, NOTHING_PASSED = 2, 69, 1
SCALE = 0.05
"""At which a run of five minutes has enough short tasks to tell variants apart."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--variant",
        metavar="V",
        action="append",
        default=[],
        help="push; poll-SECONDS; or NAME=key=value,... with way=polling or way=daemon among them; may be repeated "
        "(poll-2 poll-1 poll-0.5 push)",
    )
    parser.add_argument("--baseline", metavar="NAME", help="what the others are compared with (the first variant)")
    work = parser.add_mutually_exclusive_group()
    work.add_argument("--scenario", choices=("short", "medium", "long"), help="one kind of task (short)")
    work.add_argument("--mix", metavar="MIX", help="kinds of tasks and how often each comes: short=8,medium=2")
    work.add_argument(
        "--command", metavar="CMD", dest="job", help="a command of your own as the task, run under the lock"
    )
    parser.add_argument("--workers", metavar="N", type=positive, default=8, help="processes that compete (8)")
    parser.add_argument("--gpus", metavar="N", type=positive, default=1, help="simulated GPUs (1)")
    parser.add_argument(
        "--load",
        metavar="SHARE",
        type=_share,
        default=0.8,
        help="of the time for which the GPUs would be busy if nobody waited (0.8)",
    )
    parser.add_argument(
        "--time-scale",
        metavar="X",
        type=_share,
        help=f"multiplies every time, to be done sooner ({SCALE:g}; with --command 1)",
    )
    parser.add_argument("--duration", metavar="TIME", type=_bounded, default=300.0, help="the longest it takes (5m)")
    parser.add_argument("--rounds", metavar="N", type=positive, help="how often each variant is measured (what fits)")
    parser.add_argument("--tasks", metavar="N", type=positive, help="tasks of a worker in a round (what fits)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of tasks, pauses and order (1)")
    parser.add_argument("--redis", metavar="URL", help="a Redis to measure with; none: one of its own, if there is any")
    parser.add_argument("--output", metavar="FILE", type=Path, help="the report: FILE.md, and a folder for its plots")


def run(context: Context, arguments: argparse.Namespace) -> int:
    from ...evidence.bench.crew import WorkerFailed
    from ...evidence.bench.processes import CommandFailed, ServerFailed
    from ...evidence.bench.running import TooShort
    from ...evidence.bench.tasks import BadMix
    from ...evidence.bench.variants import BadVariant

    try:
        with ended_by_signal():
            report = _measured(arguments)
        if arguments.output:
            _write(report, arguments.output)
    except (BadVariant, BadMix) as error:
        return _explained(str(error), USAGE)
    except TooShort as error:
        return _explained(f"{error}\n  give more --duration, fewer variants, or fewer --tasks", CANNOT)
    except (CommandFailed, ServerFailed, WorkerFailed, OSError) as error:
        return _explained(str(error), CANNOT)
    from ..render.bench import picture

    context.answer(report.document(), lambda look: picture(report, look))
    compared = [each for each in report.statement.variants if each.verdict != "baseline"]
    return 0 if any(each.verdict == "passed" for each in compared) or not compared else NOTHING_PASSED


def _measured(arguments: argparse.Namespace) -> Report:
    from ...evidence.bench.programs import find_redis
    from ...evidence.bench.progress import Progress
    from ...evidence.bench.report import Report
    from ...evidence.bench.running import Runner, redis_of, workplace
    from ...evidence.bench.surroundings import look_around

    surroundings = look_around(_command_line(arguments))
    program = None if arguments.redis else find_redis()
    with workplace() as directory:
        plan, left_out = _plan(arguments, directory, has_redis=bool(arguments.redis or program))
        for each in left_out:
            print(f"gpulockctl bench: {each}", file=sys.stderr)
        with redis_of(arguments.redis, program, directory) as redis, Progress(sys.stderr, plan.duration) as progress:
            run = Runner(plan, redis, directory, progress).run()
    return Report(plan, run, surroundings, left_out)


def _plan(arguments: argparse.Namespace, directory: Path, *, has_redis: bool) -> tuple[Plan, Sequence[str]]:
    """With what has to be left out, and why. Raises `BadVariant`, `BadMix` and `CommandFailed`."""
    from ...evidence.bench.plan import Plan
    from ...evidence.bench.processes import tried_alone
    from ...evidence.bench.tasks import BadMix, parse_mix
    from ...evidence.bench.variants import DEFAULTS, choose, parse_variant

    wanted = [parse_variant(text) for text in arguments.variant or DEFAULTS]
    chosen = choose(wanted, arguments.baseline, has_redis=has_redis)
    command = _words(arguments.job) if arguments.job else ()
    scale = arguments.time_scale or (1.0 if command else SCALE)
    if command and scale != 1:
        raise BadMix("--time-scale cannot shorten a command of your own")
    plan = Plan(
        variants=chosen.variants,
        baseline=chosen.baseline,
        mix={} if command else parse_mix(arguments.mix or f"{arguments.scenario or 'short'}=1"),
        workers=arguments.workers,
        gpus=arguments.gpus,
        load=arguments.load,
        scale=scale,
        duration=arguments.duration,
        seed=arguments.seed,
        rounds=arguments.rounds,
        each=arguments.tasks,
        command=command,
        hold=tried_alone(command, directory / "command.log", arguments.duration) if command else 0.0,
    )
    return plan, chosen.left_out


def _words(command: str) -> tuple[str, ...]:
    """As a shell splits them. Raises `BadMix`."""
    from ...evidence.bench.tasks import BadMix

    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise BadMix(f"--command {command!r}: {error}") from None


def _write(report: Report, where: Path) -> None:
    from ...evidence.bench.report import write

    write(report, where)
    print(f"written: {where}", file=sys.stderr)


def _command_line(arguments: argparse.Namespace) -> str:
    """What was typed, but for the URL of Redis, which may have a password, and the folder of the report."""
    words = ["gpulockctl", "bench"]
    names = ("baseline", "scenario", "mix", "workers", "gpus", "load", "time_scale", "rounds", "tasks", "seed")
    parser = argparse.ArgumentParser()
    configure(parser)
    for variant in arguments.variant:
        words += ["--variant", variant]
    if arguments.job:
        words += ["--command", arguments.job]
    for name in names:
        if (value := getattr(arguments, name)) != parser.get_default(name):
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    if arguments.duration != parser.get_default("duration"):
        words += ["--duration", f"{arguments.duration:g}s"]
    if arguments.redis:
        words += ["--redis", "URL"]
    if arguments.output:
        words += ["--output", arguments.output.name]
    return shlex.join(words)


def _explained(message: str, status: int) -> int:
    print(f"gpulockctl bench: {message}", file=sys.stderr)
    return status


def _bounded(text: str) -> float:
    seconds = duration(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} has to be longer than 0, and to end")
    return seconds


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.001 to 1")
    return value
