"""One audit from its arguments to its findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import rules as all_rules
from .findings import Finding
from .profiles import Profile
from .project import Project, markdown_files, read_project, shown_name
from .rulesfile import RulesFile, read_rules
from .source import Place, Source, Unreadable, read


@dataclass(frozen=True)
class Request:
    root: Path
    configs: Sequence[Path]
    docs: Sequence[Path]
    rules: Path | None = None
    profiles: Sequence[Profile] = ()
    """The first whose configuration this can be is taken."""
    progress: Callable[[int, int], None] = field(default=lambda *_: None)


@dataclass(frozen=True)
class Outcome:
    findings: Sequence[Finding]
    project: Project

    @property
    def files(self) -> int:
        return len(self.project.documents)


def audit(request: Request) -> Outcome:
    """Everything that is found. Raises `Unreadable` where there is nothing to hold documents against."""
    root = request.root.resolve()
    rules = RulesFile() if request.rules is None else read_rules(_read(request.rules, root))
    configs = [_read(path, root) for path in request.configs or [root / name for name in rules.config]]
    if not configs:
        raise Unreadable("no configuration is named", "name it with --config FILE, or in the rules file")
    profile = next(each for each in request.profiles if each.fits(configs))
    docs = request.docs or [root / name for name in rules.docs]
    if not docs:
        raise Unreadable("no documents are named", "name them with --docs PATH, or in the rules file")
    met = list(markdown_files([path.absolute() for path in docs], root, rules.exclude))
    files = [each for each in met if isinstance(each, Path)]
    project = read_project(root, files, profile.truths(configs, rules, root), request.progress)
    found = [each for each in met if isinstance(each, Finding)] + list(project.troubles) + all_rules.check(project)
    wanted = {finding for finding in found if finding.rule not in rules.off}
    return Outcome(sorted(wanted, key=lambda finding: (finding.place, finding.rule, finding.says)), project)


def _read(path: Path, root: Path) -> Source:
    name = shown_name(path.absolute(), root)
    try:
        return read(path, name)
    except Unreadable as trouble:
        raise Unreadable(trouble.why, trouble.hint, trouble.place or Place(name)) from None
