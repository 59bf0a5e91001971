"""The running daemon: its effective configuration and its real metrics, against the files and the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..findings import Finding
from ..project import Live, Project
from ..quantities import agrees
from ..source import Place
from .values import shown

RULES: Mapping[str, str] = {
    "live-differs": "the running daemon has another value than the configuration, or the default, says",
    "live-metric-missing": "a document names a metric that the running daemon does not serve",
}


def check(project: Project) -> Iterator[Finding]:
    if project.live is not None:
        yield from _settings(project, project.live)
        yield from _metrics(project, project.live)


def _settings(project: Project, live: Live) -> Iterator[Finding]:
    for key, running in live.settings.items():
        for setting in project.truths.settings(key):
            if "***" in str(running.value) or agrees(shown(setting.value), running.value, setting.unit) is not False:
                continue
            place = setting.place or Place(project.configs[0].name)
            yield Finding(
                "live-differs",
                place,
                f"{key} is {shown(setting.value)} here",
                f"the running daemon has {shown(running.value)}",
                running.origin,
            )


def _metrics(project: Project, live: Live) -> Iterator[Finding]:
    """Only those that the code has: of others `metric-unknown` tells."""
    absent = (project.truths.metrics or frozenset()) - live.metrics if live.metrics is not None else frozenset()
    for audited in project.documents if absent else ():
        for passage in audited.document.passages:
            for code in passage.codes:
                name = re.match(r"\w*", code.text)
                if name and name.group() in absent:
                    place = audited.source.place(passage.offset(code.start + 1))
                    yield Finding(
                        "live-metric-missing", place, f"{name.group()} is named", "the running daemon does not serve it"
                    )
