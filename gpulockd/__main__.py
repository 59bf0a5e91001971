"""`gpulockd`: reads its arguments and its configuration, and runs the daemon."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import config as configuration
from .config import ConfigError, Loaded
from .ports import StartupRefused
from .version import __version__

USAGE, UNAVAILABLE, MISCONFIGURED = 2, 69, 78


def main(arguments: Sequence[str] | None = None) -> int:
    """The daemon's exit status: 0, 2 usage, 69 it must not start like this, 78 bad configuration."""
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpulockd",
        description="Decides who has which GPU of this host. Clients: gpulock, gpulockctl.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="default: /etc/gpulockd/config.yml, if it exists")
    parser.add_argument("--simulate", metavar="N", type=int, help="serve N simulated GPUs instead of the host's")
    parser.add_argument("--check", action="store_true", help="validate configuration and surroundings, and exit")
    parser.add_argument("--version", action="version", version=f"gpulockd {__version__}")
    return parser


def _load(options: argparse.Namespace) -> Loaded:
    """An argument is said in the same way as the environment says it, and goes before it."""
    environ = dict(os.environ)
    if options.simulate is not None:
        environ["GPULOCKD__INVENTORY__SIMULATE"] = str(options.simulate)
    return configuration.load(options.config, environ)


if __name__ == "__main__":
    sys.exit(main())
