"""One audit from its arguments to its findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import rules as all_rules, suppressions
from .findings import Finding
from .profiles import Profile
from .project import Live, Project, markdown_files, read_documents, shown_name
from .rulesfile import RulesFile, read_rules
from .source import Place, Source, Unreadable, read


@dataclass(frozen=True)
class Request:
    root: Path
    configs: Sequence[Path]
    docs: Sequence[Path]
    rules: Path | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """Unless the rules file names one, the first whose configuration this can be is taken."""
    live: Live | None = None
    progress: Callable[[int, int], None] = field(default=lambda *_: None)


@dataclass(frozen=True)
class Outcome:
    findings: Sequence[Finding]
    project: Project

    @property
    def files(self) -> int:
        return len(self.project.documents)

    @property
    def sources(self) -> Mapping[str, Source]:
        """What was read, by the name that findings and edits have for it."""
        return {audited.source.name: audited.source for audited in self.project.documents}


def audit(request: Request) -> Outcome:
    """Everything that is found. Raises `Unreadable` where there is nothing to hold documents against."""
    root = request.root.resolve()
    rules = RulesFile() if request.rules is None else read_rules(_read(request.rules, root))
    configs = [_read(path, root) for path in request.configs or [root / name for name in rules.config]]
    if not configs:
        raise Unreadable("no configuration is named", "name it with --config FILE, or in the rules file")
    profile = _profile(request.profiles, rules.profile, configs)
    docs = request.docs or [root / name for name in rules.docs]
    if not docs:
        raise Unreadable("no documents are named", "name them with --docs PATH, or in the rules file")
    met = list(markdown_files([path.absolute() for path in docs], root, rules.exclude))
    files = [each for each in met if isinstance(each, Path)]
    truths = profile.truths(configs, rules, root)
    documents, troubles = read_documents(root, files, truths, request.progress)
    project = Project(root, truths, documents, rules, configs, request.live)
    found = [*(each for each in met if isinstance(each, Finding)), *troubles, *all_rules.check(project)]
    return Outcome(_left({finding for finding in found if finding.rule not in rules.off}, project), project)


def _profile(profiles: Mapping[str, Profile], name: str, configs: Sequence[Source]) -> Profile:
    if name in profiles:
        return profiles[name]
    if name != "auto":
        raise Unreadable(f"there is no profile {name}", f"one of auto, {', '.join(profiles)}")
    return next(each for each in profiles.values() if each.fits(configs))


def _left(findings: set[Finding], project: Project) -> list[Finding]:
    """What is not suppressed, in the order of files and lines."""
    told = [each for audited in project.documents for each in suppressions.in_document(audited.document)]
    told += [each for source in project.configs for each in suppressions.in_yaml(source)]
    ordered = sorted(findings, key=lambda finding: (finding.place, finding.rule, finding.says))
    left = suppressions.apply(ordered, told, all_rules.RULES, project.rules.off)
    return sorted(left, key=lambda finding: (finding.place, finding.rule, finding.says))


def _read(path: Path, root: Path) -> Source:
    name = shown_name(path.absolute(), root)
    try:
        return read(path, name)
    except Unreadable as trouble:
        raise Unreadable(trouble.why, trouble.hint, trouble.place or Place(name)) from None
