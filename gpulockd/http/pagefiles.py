"""The status page's files, as they lie in `page/`, and what a browser is told of them: to run and load nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).with_name("page")
_KINDS: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
FILES = tuple(sorted(path.name for path in _FOLDER.iterdir() if path.suffix in _KINDS and path.name != INDEX))
"""What the page loads."""
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageFile(NamedTuple):
    body: bytes
    kind: str


def read(name: str) -> PageFile:
    """One of `FILES`, or `INDEX`."""
    path = _FOLDER / name
    return PageFile(path.read_bytes(), _KINDS[path.suffix])
