"""`gpulockctl config history | diff | cat`: what became of the configuration, and what is in its versions."""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from typing import TYPE_CHECKING, Any

from gpulock.errors import InvalidRequest

from ..arguments import positive
from ..context import Context
from ..render.configuration import differences, history
from . import story

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]


def configure(actions: Actions) -> None:
    story = actions.add_parser("history", help="who changed the configuration, when and why, the latest first")
    story.add_argument("--limit", "-n", metavar="N", type=positive, default=20, help="the last N entries (20)")
    story.set_defaults(perform=_history)
    diff = actions.add_parser("diff", help="what differs between two versions of the file (administrators)")
    diff.add_argument("before", metavar="A", type=positive, nargs="?", help="by default the version before B")
    diff.add_argument("after", metavar="B", type=positive, nargs="?", help="by default the version in force")
    diff.set_defaults(perform=_diff)
    cat = actions.add_parser("cat", help="the text of a version, as its file was (administrators)")
    cat.add_argument("version", metavar="N", type=positive, nargs="?", help="which; by default the one in force")
    cat.set_defaults(perform=_cat)


def _history(context: Context, arguments: argparse.Namespace) -> int:
    with context.client() as client:
        document = story.document(client, arguments.limit)
    context.answer(document, lambda look: history(document, look, time.time()))
    return 0


def _diff(context: Context, arguments: argparse.Namespace) -> int:
    with context.client() as client:
        after = client.call("config_version", **_named(arguments.after))
        before = client.call("config_version", version=arguments.before or _before(client, after["version"]))
    lines = list(
        difflib.unified_diff(
            (before["content"] or "").splitlines(),
            (after["content"] or "").splitlines(),
            f"version {before['version']}",
            f"version {after['version']}",
            lineterm="",
        )
    )
    document = {"before": before["version"], "after": after["version"], "diff": lines}
    context.answer(document, lambda _: differences(lines))
    return 0


def _cat(context: Context, arguments: argparse.Namespace) -> int:
    document = context.ask("config_version", **_named(arguments.version))
    if context.as_json:
        context.emit(document)
    elif document["content"] is None:
        print(f"version {document['version']} had no file: every setting had its default", file=sys.stderr)
    else:
        context.out.write(document["content"])
        context.out.flush()
    return 0


def _named(version: int | None) -> dict[str, int]:
    return {} if version is None else {"version": version}


def _before(client: Any, version: int) -> int:
    """The version that was in force before this one."""
    for entry in story.entries(client):
        if entry["outcome"] == "applied" and entry["version"] is not None and entry["version"] < version:
            return int(entry["version"])
    raise InvalidRequest(f"no version was in force before {version}", hint="gpulockctl config history")
