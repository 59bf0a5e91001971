"""`gpulockctl config reload | apply | rollback`: what changes the configuration."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpulock.errors import ConfigurationUnwritable, InvalidRequest

from ..arguments import positive
from ..context import Context
from ..render.configuration import changed
from .faults import Faulty, told
from .ownfile import replaced

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]


def configure(actions: Actions) -> None:
    reload = actions.add_parser("reload", help="have the daemon read its file again (administrators)")
    reload.set_defaults(perform=_reload)
    apply = actions.add_parser("apply", help="put FILE in the place of the daemon's file (administrators)")
    apply.add_argument("file", metavar="FILE", help="the whole configuration; - reads standard input")
    apply.set_defaults(perform=_apply)
    rollback = actions.add_parser("rollback", help="apply an earlier version again (administrators)")
    rollback.add_argument("version", metavar="N", type=positive, nargs="?", help="which; by default the one before")
    rollback.set_defaults(perform=_rollback)
    for parser in (reload, apply, rollback):
        parser.add_argument("--reason", metavar="TEXT", default="", help="why; the history keeps it")
        parser.add_argument("--dry-run", action="store_true", help="only say what would change")


def content_of(file: str) -> str:
    """What is to be sent. Raises `InvalidRequest`."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode()
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is not UTF-8: byte {error.start}", hint="save the file as UTF-8") from None


def _reload(context: Context, arguments: argparse.Namespace) -> int:
    try:
        document = context.ask("reload", **_options(arguments))
    except Faulty as error:
        return told(error)
    context.answer(document, lambda look: changed(document, look))
    return 0


def _apply(context: Context, arguments: argparse.Namespace) -> int:
    content = content_of(arguments.file)
    try:
        document = context.ask("config_apply", content=content, **_options(arguments))
    except Faulty as error:
        return told(error, arguments.file)
    except ConfigurationUnwritable as error:
        document = written_here(context, error, content, arguments.reason)
    context.answer(document, lambda look: changed(document, look))
    return 0


def _rollback(context: Context, arguments: argparse.Namespace) -> int:
    asked = {} if arguments.version is None else {"version": arguments.version}
    try:
        document = context.ask("config_rollback", **asked, **_options(arguments))
    except Faulty as error:
        return told(error)
    except ConfigurationUnwritable as error:
        version = error.data.get("version")
        kept = context.ask("config_version", version=version)
        said = f"back to version {version}{': ' + arguments.reason if arguments.reason else ''}"
        document = written_here(context, error, kept["content"] or "{}\n", said)
    context.answer(document, lambda look: changed(document, look))
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, object]:
    return {name: getattr(arguments, name) for name in ("reason", "dry_run")}


def written_here(context: Context, error: ConfigurationUnwritable, content: str, reason: str) -> Any:
    """The daemon has checked the content and may not write its file. Root may, and has the daemon read it."""
    if os.geteuid() != 0 or "file" not in error.data:
        raise error
    with replaced(Path(error.data["file"]), content.encode()):
        return context.ask("reload", reason=reason)
