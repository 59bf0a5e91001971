"""The report of a run: Markdown with its statement for programs, plots, and the raw figures. Pure but for `write`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..statement import Statement, Tried, written
from ..statistics import Estimate
from ..typeset import number, rounded, table
from . import tasks
from .charts import Bar as Row, bar_chart, share_chart
from .judgement import BARS, Judgement, judge, verdict
from .outcomes import Block, Figures, figures_of
from .plan import Plan
from .running import Run
from .surroundings import Surroundings
from .worker import BACKOFF

FIGURES = "figures.json"
"""Beside the plots."""
QUIET = 0.5
"""Cores that others may use before a run for it not to be called disturbed."""


@dataclasses.dataclass(frozen=True)
class Report:
    plan: Plan
    run: Run
    surroundings: Surroundings
    left_out: Sequence[str] = ()
    """The variants that could not be measured, each with the reason."""

    @cached_property
    def blocks(self) -> Mapping[str, Sequence[Block]]:
        names = [variant.name for variant in self.plan.variants]
        return {name: [block for block in self.run.blocks if block.variant == name] for name in names}

    @cached_property
    def figures(self) -> Mapping[str, Figures]:
        return {name: figures_of(blocks) for name, blocks in self.blocks.items()}

    @cached_property
    def judgements(self) -> Mapping[str, Sequence[Judgement]]:
        """Of every variant but the baseline."""
        base = self.blocks[self.plan.baseline]
        return {name: judge(blocks, base) for name, blocks in self.blocks.items() if name != self.plan.baseline}

    @cached_property
    def statement(self) -> Statement:
        tried = [
            Tried(
                variant.name,
                variant.way,
                dict(variant.settings),
                "baseline" if variant.name == self.plan.baseline else verdict(self.judgements[variant.name]),
                {each.bar.name: each.answer for each in self.judgements.get(variant.name, ())},
            )
            for variant in self.plan.variants
        ]
        about = self.surroundings
        return Statement(about.date, about.command, about.version, self.plan.baseline, tuple(tried))

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            **dataclasses.asdict(self.statement),
            "rounds": self.run.rounds,
            "took": self.run.took,
            "figures": {name: dataclasses.asdict(figures) for name, figures in self.figures.items()},
            "left_out": list(self.left_out),
        }


def write(report: Report, where: Path) -> None:
    """`where`, and beside it a folder of its name with plots and figures. Raises `OSError`."""
    folder = where.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plots(report)
    for name, (_, chart) in drawn.items():
        (folder / f"{name}.svg").write_text(chart)
    (folder / FIGURES).write_text(_raw(report))
    images = {f"{folder.name}/{name}.svg": title for name, (title, _) in drawn.items()}
    where.write_text(text(report, images, f"{folder.name}/{FIGURES}"))


def plots(report: Report) -> dict[str, tuple[str, str]]:
    """By their names: what each shows, and the SVG."""

    def bars(title: str, unit: str, estimates: Mapping[str, Estimate | None]) -> tuple[str, str]:
        rows = [Row(name, each) for name, each in estimates.items() if each is not None]
        return title, bar_chart(title, unit, rows)

    each = report.figures.items()
    waits = {name: [task.waited for block in mine for task in block.outcomes] for name, mine in report.blocks.items()}
    shares = "Share of the tasks that waited at most so long"
    drawn = {
        "wait": bars("Mean wait for the lock, less is better", "s", {name: of.wait for name, of in each}),
        "waits": (shares, share_chart(shares, "s", waits)),
        "tasks": bars("Tasks done in an hour, more is better", "per hour", {name: of.per_hour for name, of in each}),
    }
    if report.run.redis:
        requests = {name: of.requests for name, of in each}
        drawn["requests"] = bars("Requests to Redis, less is better", "per second", requests)
        percent = {name: of.cpu and Estimate(*(100 * value for value in of.cpu)) for name, of in each}
        drawn["cpu"] = bars("CPU of Redis, less is better", "% of a core", percent)
    return drawn


def text(report: Report, images: Mapping[str, str], raw: str) -> str:
    parts = [_head(report), _verdicts(report), _figures(report)]
    parts += [f"![{title}]({path})" for path, title in images.items()]
    parts += [_variants(report), _method(report, raw)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _head(report: Report) -> str:
    about, run = report.surroundings, report.run
    redis = f", Redis {run.redis}{' (shared with others)' if run.shared else ''}" if run.redis else ""
    lines = [
        "# Settings, measured",
        "",
        written(report.statement),
        "",
        "This page is written by the benchmark; do not edit it. It was made by",
        "",
        "```console",
        f"$ {about.command}",
        "```",
        "",
        f"on {about.date}, with gpulockd {about.version}, on {about.machine}{redis}.",
        "",
    ]
    if about.busy_before > QUIET:
        lines += [
            f"> **Disturbed**: the load average was {about.busy_before:.1f} when it began, so others were at work.",
            "> Waits are longer than on a quiet machine, for every variant alike.",
            "",
        ]
    if report.left_out:
        lines += ["> **Not everything was measured**:", ">", *(f"> - {each}" for each in report.left_out), ""]
    return "\n".join(lines)


def _verdicts(report: Report) -> str:
    rows = []
    for tried in report.statement.variants:
        if tried.verdict == "baseline":
            continue
        cells = [_judged(each) for each in report.judgements[tried.name]]
        rows.append((tried.name, f"**{tried.verdict}**", *cells))
    bars = "\n".join(f"- *{bar.name}*: {bar.text}" for bar in BARS)
    if not rows:
        return f"## The bars\n\nThere is but one variant, so there is nothing to compare.\n\n{bars}\n"
    head = ("variant", "verdict", *(bar.name for bar in BARS))
    return (
        f"## The bars\n\nEach variant against `{report.plan.baseline}`:\n\n{bars}\n\n{table(head, rows)}\n"
        "The first three are ratios to the baseline. In brackets: the 95 % confidence interval. A bar that lies\n"
        "within it is undecided. A variant has passed if it met every one of them.\n"
    )


def _judged(judgement: Judgement) -> str:
    if judgement.estimate is None:
        return judgement.answer
    low, high = number(judgement.estimate.low), number(judgement.estimate.high)
    return f"{judgement.answer}: {number(judgement.estimate.value)} ({low} to {high})"


def _figures(report: Report) -> str:
    head = (
        "variant", "tasks", "wait: mean, s", "p50, s", "p95, s", "longest, s", "wait and work, s", "tasks an hour",
        "timeouts", "requests to Redis, 1/s", "commands of Redis, 1/s", "CPU of Redis, %",
    )  # fmt: skip
    rows = [
        (
            name,
            str(of.tasks),
            _range(of.wait),
            *(number(value) for value in (of.wait_p50, of.wait_p95, of.longest_wait)),
            _range(of.total),
            _range(of.per_hour),
            f"{of.timeouts.value:.1%}",
            _range(of.requests),
            _range(of.commands),
            _range(of.cpu, 100),
        )
        for name, of in report.figures.items()
    ]
    return f"## The figures\n\n{table(head, rows)}\n"


def _range(estimate: Estimate | None, factor: float = 1) -> str:
    if estimate is None:
        return "–"
    value, low, high = (number(factor * each) for each in estimate)
    return f"{value} ({low} to {high})"


def _variants(report: Report) -> str:
    """Under a title that says that these settings are not claimed to be in force: the audit reads it too."""
    rows = [(f"`{variant.name}`", variant.described) for variant in report.plan.variants]
    return f"## The settings proposed\n\n{table(('variant', 'what it is'), rows)}\n"


def _method(report: Report, raw: str) -> str:
    plan, run = report.plan, report.run
    work = tasks.described(plan.mix) if plan.mix else f"the command, which takes {number(plan.hold)} s alone"
    scale = "" if plan.scale == 1 else _SCALED.format(scale=f"{plan.scale:g}")
    return f"""\
## How it was measured

{plan.workers} worker processes and {plan.gpus} GPU{"s" if plan.gpus != 1 else ""}. Tasks: {work}; before each a worker
pauses, for {number(plan.mean_pause)} s in the mean, so that the GPUs would be busy for {plan.load:.0%} of the time if
nobody ever waited. A block is {plan.tasks_each} tasks of each worker; {run.rounds} rounds of a block for each variant
took {run.took:.0f} s. Within a round every variant gets the same tasks and pauses, in an order drawn anew for each
round (seed {plan.seed}). *Polling* is what gpulockd replaces: `SET NX` with an expiry, tried again after the interval,
each pause {BACKOFF:g} times the one before. *gpulockd* is a daemon of the benchmark's own, with its journal, and its
leases in the same Redis.
{scale}
Ratios and means: the jackknife over rounds with Student's t, in pairs by round (Cochran, *Sampling Techniques*, 1977,
6.17). Shares: Wilson's interval (JASA 22, 1927). A request is what a client sends to Redis; commands count what its
scripts call, too. Success and timeouts are shares of all tasks.

The raw figures of every block are in [{FIGURES}]({raw}).
"""


_SCALED = """
Every time was multiplied by {scale}, pauses, tasks, polls and timeouts alike, and the figures are converted back. Of
the traffic, what polling sends is converted with the tasks that it belongs to; what a daemon sends to Redis, and what
Redis does by itself, belongs to the clock and is taken as it was. The daemon's own work is not shortened, so at full
scale it is a smaller part of a wait than here.
"""


def _raw(report: Report) -> str:
    """A line for each block."""
    blocks = [dataclasses.asdict(block, dict_factory=_said) for block in report.run.blocks]
    lines = [json.dumps(rounded(block, 5)) for block in blocks]
    head = json.dumps(dataclasses.asdict(report.statement), indent=1).removesuffix("\n}")
    return head + ',\n "blocks": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"


def _said(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Without texts that are empty."""
    return {name: value for name, value in fields if value != ""}
