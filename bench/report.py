"""The report: Markdown, plots and the raw figures, made from one run.

python -m bench.report docs/performance/figures.json    makes it again
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from bench import plots
from bench.bars import bars_of
from bench.cells import Run, Sample, Work, by_round
from bench.contenders import FLOOR
from bench.figures import middle, ratio
from bench.judgement import estimated, judge, shown
from bench.quiet import QUIET
from bench.works.catalogue import BY_NAME, WORKS
from gpulockd.evidence.statistics import Estimate
from gpulockd.evidence.typeset import rounded, table

FIGURES, PROFILE = "figures.json", "profile.md"
"""Beside the plots. The profile is written by hand, and becomes part of the page."""


def write(run: Run, where: Path) -> None:
    """`where`, and beside it a folder of its name with the plots and figures."""
    folder = where.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).write_text(figures(run))
    drawn = plots.draw(run, folder)
    profile = folder / PROFILE
    parts = [text(run, {name: f"{folder.name}/{name}.svg" for name in drawn})]
    parts += [profile.read_text()] if profile.exists() else []
    where.write_text("\n".join([*parts, _METHOD]))


def figures(run: Run) -> str:
    """JSON with a line for each sample, so that two runs can be compared by eye."""
    about = {field.name: getattr(run, field.name) for field in dataclasses.fields(run) if field.name != "samples"}
    head = json.dumps(about, indent=1).removesuffix("\n}")
    samples = ",\n  ".join(json.dumps(rounded(dataclasses.asdict(sample), 6)) for sample in run.samples)
    return f'{head},\n "samples": [\n  {samples}\n ]\n}}\n'


def read(path: Path) -> Run:
    fields = json.loads(path.read_text())
    return Run(**{**fields, "samples": [Sample(**sample) for sample in fields["samples"]]})


def text(run: Run, images: dict[str, str]) -> str:
    parts = [_head(run), _bars(run)]
    measured = {sample.work for sample in run.samples}
    parts += [_work(run, work, images) for work in WORKS if work.name in measured]
    return "\n".join(parts)


def _head(run: Run) -> str:
    of = run.machine
    packages = ", ".join(f"{name} {version}" for name, version in of["packages"].items())
    lines = [
        "# How fast it is",
        "",
        "This page is written by the benchmark; do not edit it. It was made by",
        "",
        "```console",
        f"$ make bench    # {run.command}",
        "```",
        "",
        f"on {of['date']}, at commit {of['commit']}, on a machine with {of['cores']} cores of a processor",
        f"{of['processor']} and {of['memory_gib']} GiB of memory, Linux {of['linux']}, CPython {of['python']};",
        f"{packages}.",
        "",
    ]
    if run.plan != "full":
        lines += ["> **Not for quoting**: this is a short run, for trying the benchmark out.", ""]
    if disturbed := sum(sample.noise > QUIET for sample in run.samples):
        share = f"{disturbed} of {len(run.samples)}"
        lines += [f"> **Disturbed**: during {share} measurements others used more than {QUIET} core.", ""]
    if run.absences:
        lines += ["> **Not everything was measured**:", ">"]
        lines += [f"> - {who}: {why}" for who, why in run.absences.items()]
        lines += [""]
    return "\n".join(lines)


def _bars(run: Run) -> str:
    rows = []
    for bar in bars_of(BY_NAME, quick=False):
        judgement = judge(run, bar)
        limit = f"{'≥' if bar.sense == 'at least' else '≤'} {shown(bar.limit, bar.unit)}"
        factor = f"{shown(judgement.factor)} ×" if judgement.factor else ""
        verdict = judgement.verdict if judgement.kept else f"**{judgement.verdict}**"
        rows.append((bar.text, limit, estimated(judgement), verdict, factor))
    head = ("what it has to show", "bar", "measured", "verdict", "margin")
    return f"## The bars\n\n{table(head, rows)}\n{_MARGIN}"


_MARGIN = """\
In brackets: the 95 % confidence interval. The margin is how many times better than the bar it is; below 1 it is missed.
"""


def _work(run: Run, work: Work, images: dict[str, str]) -> str:
    samples = [sample for sample in run.samples if sample.work == work.name]
    lines = [f"## {work.title}", ""]
    lines += [f"![{work.title}]({images[name]})\n" for name in images if name.partition("-")[0] == work.name]
    places = list(dict.fromkeys((sample.case, sample.placement) for sample in samples))
    for case, placement in places:
        mine = [sample for sample in samples if (sample.case, sample.placement) == (case, placement)]
        lines += [f"{case}, {placement}:" if len(places) > 1 else f"{case}:", "", _figures(mine, work.lead)]
    return "\n".join(lines)


def _figures(samples: list[Sample], lead: str) -> str:
    """A line for each contender: first, the ratio of what matters most to the floor's."""
    metrics = list(dict.fromkeys(metric for sample in samples for metric in sample.metrics))
    metrics.sort(key=lambda metric: metric != lead)
    of_each = {
        contender: [sample for sample in samples if sample.contender == contender]
        for contender in dict.fromkeys(sample.contender for sample in samples)
    }
    floor = by_round(of_each.get(FLOOR, ()), lead)
    rows = []
    for contender, mine in of_each.items():
        row = [contender]
        for metric in metrics:
            values = by_round(mine, metric)
            if metric == lead and floor:
                row.append(_range(ratio(values, floor)))
            row.append(shown(middle(list(values.values())).value) if values else "–")
        rows.append((*row, shown(middle([sample.yardstick for sample in mine]).value)))
    named = [_named(metric) for metric in metrics]
    if floor:
        named = [f"{named[0].partition(',')[0]} / floor's", *named]
    return table(("", *named, "yardstick, µs"), rows)


_UNITS = {"us": "µs", "ms": "ms", "percent": "%", "kib_each": "KiB each", "per_s": "a second", "gib": "GiB"}


def _named(metric: str) -> str:
    """`gap_p50_ms` is `gap p50, ms`."""
    for ending, unit in _UNITS.items():
        if metric == ending:
            return unit
        if metric.endswith(f"_{ending}"):
            separator = " " if unit.startswith("a ") else ", "
            return metric.removesuffix(f"_{ending}").replace("_", " ") + separator + unit
    return metric.replace("_", " ")


def _range(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{shown(estimate.value)} ({shown(estimate.low)} to {shown(estimate.high)})"


_METHOD = f"""\
## How it is measured

Every measurement is taken once in each round, and the rounds go through all contenders; figures are medians over the
rounds, and ratios are medians of the ratios within a round. Just before each measurement the yardstick is taken in the
same placement: the round trip of 60 bytes between two blocking Python processes over a Unix socket. A measurement
begins when others use less than {QUIET} core, and is repeated when they used more meanwhile; of four tries, the least
disturbed counts. A run waits and repeats for half an hour in all, and says at its top what was disturbed in the end.

*Free*: the scheduler places client and server. *One core*: both on one, which shows the cost of the software alone.
The daemon runs as in production: with its journal, the kernel's word for who asks, and its leases in a real server;
only its GPUs are simulated. The floor is `bench/floor.py`: a FIFO lock without journal, identity or policy.

A figure that a lock has nothing to show for is a dash.

The raw figures of all rounds are in [{FIGURES}](performance/{FIGURES}), and
`python -m bench.report docs/performance/{FIGURES}` makes this page of them again.
"""


if __name__ == "__main__":
    source = Path(sys.argv[1])
    write(read(source), source.parent.with_suffix(".md"))
