"""Holds documents, configuration, code and the running daemon against each other.

`audit` is the way in. Pure but for reading files; knows the daemon through `profiles.gpulockd` alone.
"""

from __future__ import annotations

from .auditing import Outcome, Request, audit
from .commandline import Program, of_parser
from .findings import Edit, Finding
from .fixing import fix
from .project import Live
from .source import Place, Unreadable
from .truths import Setting

__all__ = [
    "Edit",
    "Finding",
    "Live",
    "Outcome",
    "Place",
    "Program",
    "Request",
    "Setting",
    "Unreadable",
    "audit",
    "fix",
    "of_parser",
]
