"""What every command is given: the way to the daemon, and the way to show what it said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import gpulock

from .render.look import Look

if TYPE_CHECKING:
    from .render.text import Text

SCHEMA_VERSION = 1
"""Of what `--json` prints; a test holds it equal to `gpulock.documents.SCHEMA_VERSION`, which is costly to import."""


class Context(NamedTuple):
    socket: str
    look: Look
    as_json: bool
    out: TextIO

    def ask(self, method: str, **params: object) -> Any:
        """The daemon's answer to one request. Raises what the daemon answered, or `DaemonUnavailable`."""
        with self.client() as client:
            return client.call(method, **params)

    def client(self) -> gpulock.Client:
        return gpulock.Client(self.socket)

    def answer(self, document: Mapping[str, Any], picture: Callable[[Look], Iterable[Text]]) -> None:
        """Prints `document` as JSON where that was asked for, else as its `picture`."""
        if self.as_json:
            self.emit(document)
        else:
            self.show(picture(self.look))

    def show(self, lines: Iterable[Text]) -> None:
        colour, unicode = self.look.colour, self.look.unicode
        self.out.write("".join(line.written(colour=colour, unicode=unicode) + "\n" for line in lines))
        self.out.flush()

    def emit(self, document: Mapping[str, Any], *, one_line: bool = False) -> None:
        """Prints a document for programs; ASCII only, so that nothing in it can steer a terminal."""
        import json

        whole = {"schema_version": SCHEMA_VERSION, **document}
        self.out.write(json.dumps(_plain(whole), indent=None if one_line else 2) + "\n")
        self.out.flush()


def _plain(value: object) -> object:
    """`value` with infinity, which JSON lacks, as the word that configuration has for it."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return "forever" if value == float("inf") else value
