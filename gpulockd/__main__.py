"""`gpulockd`: reads its arguments and its configuration, and runs the daemon."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from . import config as configuration
from .arguments import parser
from .config import ConfigError, Loaded
from .ports import StartupRefused

USAGE, UNAVAILABLE, MISCONFIGURED = 2, 69, 78


def main(arguments: Sequence[str] | None = None) -> int:
    """The daemon's exit status: 0, 2 usage, 69 it must not start like this, 78 bad configuration."""
    options = parser().parse_args(arguments)
    try:
        loaded = _load(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISCONFIGURED
    try:
        if options.check:
            from .check import check

            return check(loaded)
        from .app import run

        run(loaded)
    except StartupRefused as refused:
        print(f"gpulockd: {refused}\n  {refused.hint}", file=sys.stderr)
        return UNAVAILABLE
    return 0


def _load(options: argparse.Namespace) -> Loaded:
    """An argument is said in the same way as the environment says it, and goes before it."""
    environ = dict(os.environ)
    if options.simulate is not None:
        environ["GPULOCKD__INVENTORY__SIMULATE"] = str(options.simulate)
    return configuration.load(options.config, environ)


if __name__ == "__main__":
    sys.exit(main())
