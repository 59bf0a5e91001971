"""The daemon's command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from .version import __version__


def parser() -> argparse.ArgumentParser:
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
