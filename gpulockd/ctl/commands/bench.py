"""`gpulockctl bench`: settings side by side, with real workers and simulated GPUs. Exits with 1 if nothing passed."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ..arguments import duration, positive
from ..context import Context

if TYPE_CHECKING:
    from ...evidence.bench.plan import Plan
    from ...evidence.bench.report import Report
    from ...evidence.bench.variants import Variant

USAGE, CANNOT, NOTHING_PASSED = 2, 69, 1
_ALONE = 600.0
"""Seconds that a command may take when it is tried alone."""
Read = TypeVar("Read")


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
        help="multiplies every time, to be done sooner (0.05; with --command 1)",
    )
    parser.add_argument("--duration", metavar="TIME", type=duration, default=300.0, help="the longest it takes (5m)")
    parser.add_argument("--rounds", metavar="N", type=positive, help="how often each variant is measured (what fits)")
    parser.add_argument("--tasks", metavar="N", type=positive, help="tasks of a worker in a round (what fits)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of tasks, pauses and order (1)")
    parser.add_argument("--redis", metavar="URL", help="a Redis to measure with; none: one of its own, if there is any")
    parser.add_argument("--output", metavar="FILE", type=Path, help="the report: FILE.md, and a folder for its plots")


def run(context: Context, arguments: argparse.Namespace) -> int:
    from ...evidence.bench.crew import WorkerFailed
    from ...evidence.bench.running import TooShort
    from ...evidence.bench.servers import ServerFailed
    from ...evidence.bench.tasks import BadMix
    from ...evidence.bench.variants import BadVariant

    try:
        with _ended_by_signal():
            report = _measured(arguments)
        if arguments.output:
            _write(report, arguments.output)
    except (BadVariant, BadMix) as error:
        return _explained(str(error), USAGE)
    except TooShort as error:
        return _explained(f"{error}\n  give more --duration, fewer variants, or fewer --tasks", CANNOT)
    except (ServerFailed, WorkerFailed, OSError) as error:
        return _explained(str(error), CANNOT)
    from ..render.bench import picture

    context.answer(report.document(), lambda look: picture(report, look))
    compared = [each for each in report.statement.variants if each.verdict != "baseline"]
    return 0 if any(each.verdict == "passed" for each in compared) or not compared else NOTHING_PASSED


def _measured(arguments: argparse.Namespace) -> Report:
    from ...evidence.bench.progress import Progress
    from ...evidence.bench.report import Report
    from ...evidence.bench.running import Runner, redis_of, workplace
    from ...evidence.bench.servers import find_redis
    from ...evidence.bench.surroundings import look_around

    surroundings = look_around(_command_line(arguments))
    program = None if arguments.redis else find_redis()
    plan, left_out = _plan(arguments, has_redis=bool(arguments.redis or program))
    for each in left_out:
        print(f"gpulockctl bench: {each}", file=sys.stderr)
    with workplace() as directory, redis_of(arguments.redis, program, directory) as redis:
        progress = Progress(sys.stderr, plan.duration)
        try:
            run = Runner(plan, redis, directory, progress).run()
        finally:
            progress.close()
    return Report(plan, run, surroundings, left_out)


def _plan(arguments: argparse.Namespace, *, has_redis: bool) -> tuple[Plan, list[str]]:
    """With what has to be left out, and why. Raises `BadVariant`, `BadMix` and `ServerFailed`."""
    from ...evidence.bench.plan import Plan
    from ...evidence.bench.servers import run_once
    from ...evidence.bench.tasks import parse_mix
    from ...evidence.bench.variants import DEFAULTS, parse_variant

    wanted = [parse_variant(text) for text in arguments.variant or DEFAULTS]
    variants, left_out = _possible(wanted, has_redis=has_redis)
    baseline = _baseline(arguments.baseline, wanted, variants)
    command = tuple(shlex.split(arguments.job)) if arguments.job else ()
    scale = arguments.time_scale or (1.0 if command else 0.05)
    if command and scale != 1:
        raise _bad("--time-scale cannot shorten a command of your own")
    plan = Plan(
        variants=variants,
        baseline=baseline,
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
        hold=run_once(list(command), _ALONE) if command else 0.0,
    )
    return plan, left_out


def _possible(wanted: Sequence[Variant], *, has_redis: bool) -> tuple[list[Variant], list[str]]:
    names = [variant.name for variant in wanted]
    if twice := {name for name in names if names.count(name) > 1}:
        raise _bad(f"two variants are called {min(twice)}")
    if has_redis:
        return list(wanted), []
    why = "it polls a Redis, and there is none: give --redis URL, or install redis-server or valkey-server"
    possible = [variant for variant in wanted if variant.way == "daemon"]
    if not possible:
        raise _bad(f"nothing can be measured: {why}")
    left_out = [f"{variant.name} is left out: {why}" for variant in wanted if variant.way == "polling"]
    return possible, [*left_out, "Redis is not measured: there is none"]


def _baseline(name: str | None, wanted: Sequence[Variant], possible: Sequence[Variant]) -> str:
    if name is not None and name not in {variant.name for variant in wanted}:
        raise _bad(f"there is no variant {name!r} to compare with")
    names = [variant.name for variant in possible]
    return name if name in names else names[0]


def _bad(message: str) -> ValueError:
    from ...evidence.bench.variants import BadVariant

    return BadVariant(message)


def _write(report: Report, where: Path) -> None:
    from ...evidence.bench.report import write

    write(report, where)
    print(f"written: {where}", file=sys.stderr)


def _command_line(arguments: argparse.Namespace) -> str:
    """What was typed, without what could be a secret and without where the report went."""
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


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.001 to 1")
    return value


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind like Ctrl-C does: nothing that was started may be left."""

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
