"""Changes the configuration of a running daemon: one change at a time, recorded before it acts.

    read or given -> parsed -> kept as a version, `begun` -> written to the file -> `applied` -> in force

The file is written by the daemon or, where it may not, by root, who then has it read.

Whatever fails on the way changes nothing, and the history says so. A daemon that is killed on the way starts from the
file as it stands, and settles by that what had been begun.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gpulock.documents import SCHEMA_VERSION
from gpulock.errors import ConfigurationUnwritable, GpulockError, InvalidRequest

from .. import config as configuration
from ..config import Change, Config, ConfigError, Loaded
from ..core.actions import Announce, Severity
from ..ports import Author, Clock, Observer
from . import refusals
from .entries import Entry, digest_of
from .files import Unwritable, replace_configuration
from .versions import Versions

Result = TypeVar("Result")
log = logging.getLogger(__name__)

ROOT = 0
"""The uid of whoever writes the file where the daemon may not."""
BY_ITSELF = Author("gpulockd")
BY_SIGNAL = Author("SIGHUP")


class Changing:
    """What is in force, and the way from one configuration to the next."""

    def __init__(
        self,
        loaded: Loaded,
        state_dir: Path,
        clock: Clock,
        take_over: Callable[[Config], None],
        announce: Observer,
    ) -> None:
        """`take_over` hands a configuration to the parts of the daemon."""
        self.running = loaded
        """What is in force: all of what a file held, and of no other."""
        self._versions = Versions(state_dir)
        self._clock = clock
        self._take_over = take_over
        self._announce = announce
        self._one_at_a_time = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._owes_start = True
        """Whether what it started with is still to be noted."""

    def begin(self) -> None:
        """Notes what the daemon starts with, unless that is what it ended with. Where it cannot, it starts all the
        same, and the next change is noted after that."""
        try:
            self._begin()
        except OSError as error:
            log.error("the history of configurations cannot be written: %s", error)

    def _begin(self) -> None:
        versions, digest = self._versions, digest_of(self.running.content)
        versions.prepare()
        if (begun := versions.under_way) is not None:
            if digest == begun.digest:
                versions.settle("applied")
            else:
                versions.settle("refused", "the daemon ended before the file was written")
        current = versions.current
        if current is None or current.digest != digest:
            entry = self._entry("start", BY_ITSELF, "", self._changes_since(current))
            versions.keep(dataclasses.replace(entry, outcome="applied"), self.running.content)
        self._owes_start = False

    async def reload(self, author: Author, reason: str = "", *, dry_run: bool = False) -> Mapping[str, object]:
        """Takes over what the file holds now, all of it or nothing.

        Raises `BadConfiguration`, `RestartNeeded` or `ConfigurationUnwritable`, and nothing has changed.
        """
        return await self.undisturbed(self._reload(author, reason, dry_run=dry_run))

    async def apply(
        self, content: bytes, author: Author, reason: str = "", *, dry_run: bool = False
    ) -> Mapping[str, object]:
        """Makes `content` the daemon's own file, and takes it over. Raises as `reload`."""
        return await self.undisturbed(self._replace("apply", content, author, reason, dry_run=dry_run))

    async def rollback(
        self, version: int | None, author: Author, reason: str = "", *, dry_run: bool = False
    ) -> Mapping[str, object]:
        """Applies an earlier version again; None: the last that was in force and was another. Raises as `reload`, and
        `InvalidRequest` for one that is not kept."""
        return await self.undisturbed(self._rollback(version, author, reason, dry_run=dry_run))

    async def in_force(self) -> Mapping[str, object]:
        """A `gpulock.configuration.ConfigDocument`."""
        running = self.running
        found = await asyncio.to_thread(self._on_disk)
        return {
            "schema_version": SCHEMA_VERSION,
            "settings": [dict(each) for each in configuration.settings(running)],
            "file": str(running.source.path),
            "edited": found != running.content,
        }

    async def history(self, limit: int, before: int | None = None) -> Mapping[str, object]:
        """A page of it, as a `gpulock.configuration.ConfigHistoryDocument`; `before`: what the page before said that
        is `earlier`. Raises `ConfigurationRefused` where it cannot be read."""
        try:
            entries, earlier = await asyncio.to_thread(self._versions.page, limit, before)
        except OSError as error:
            raise refusals.unreadable(error) from error
        current = self._versions.current
        return {
            "schema_version": SCHEMA_VERSION,
            "file": str(self.running.source.path),
            "entries": [_told(entry, current) for entry in entries],
            "earlier": earlier,
        }

    async def version(self, number: int | None) -> Mapping[str, object]:
        """A `gpulock.configuration.ConfigVersionDocument`; None: what is in force. Raises `InvalidRequest` for one that
        is not kept, `ConfigurationRefused` where it cannot be read."""
        found, content = await self._kept(number)
        text = None if content is None else content.decode(errors="replace")
        return {"schema_version": SCHEMA_VERSION, "version": found, "content": text}

    # For what else changes what is in force.

    async def undisturbed(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs `work` to its end, one at a time, though whoever asked for it may leave before."""
        return await asyncio.shield(self.spawn(work))

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Runs `work` when its turn comes, and nobody waits for it."""

        async def alone() -> Result:
            async with self._one_at_a_time:
                return await work

        task = asyncio.get_running_loop().create_task(alone())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def refresh(self) -> None:
        """Has the parts of the daemon look again at what is in force."""
        self._take_over(self.running.config)

    async def replace(self, how: str, content: bytes, author: Author, reason: str) -> None:
        """`apply` for whoever is undisturbed already."""
        await self._replace(how, content, author, reason, dry_run=False)

    async def note(self, how: str, author: Author, reason: str) -> None:
        """Adds a line to the history that is about no version."""
        entry = dataclasses.replace(self._entry(how, author, reason), outcome="applied")
        try:
            await self._written(lambda: self._versions.note(entry))
        except OSError as error:
            log.warning("the history of configurations cannot be written: %s", error)

    # One change, from its beginning to its end.

    async def _reload(self, author: Author, reason: str, *, dry_run: bool) -> Mapping[str, object]:
        try:
            content = await asyncio.to_thread(self.running.source.read)
        except ConfigError as error:
            raise await self._refused("reload", author, reason, refusals.bad(error), dry_run=dry_run) from None
        wanted, changed = await self._judged(
            "reload", content, author, reason, dry_run=dry_run, way_out=refusals.RESTART
        )
        if dry_run or content == self.running.content:
            return self._answer("dry-run" if dry_run else "unchanged", changed)
        begun = self._versions.under_way
        if begun is not None and begun.version is not None and begun.digest == digest_of(content):
            return await self._in_force(begun.how, begun.version, wanted, changed, author)  # root has written it
        number = await self._begun("reload", author, reason, changed, content)
        return await self._in_force("reload", number, wanted, changed, author)

    async def _replace(
        self, how: str, content: bytes | None, author: Author, reason: str, *, dry_run: bool, text: str = "it"
    ) -> Mapping[str, object]:
        """`text`: what somebody would put into the file to have that content there."""
        way_out = f"put {text} into {self.running.source.path}, then {refusals.RESTART}"
        wanted, changed = await self._judged(how, content, author, reason, dry_run=dry_run, way_out=way_out)
        if dry_run:
            return self._answer("dry-run", changed)
        await self._set_aside(content)
        if content == self.running.content and content == await asyncio.to_thread(self._on_disk):
            return self._answer("unchanged", changed)
        number = await self._begun(how, author, reason, changed, content)
        try:
            await asyncio.to_thread(replace_configuration, self.running.source.path, content or b"{}\n")
        except Unwritable as unwritable:
            refusal = refusals.unwritable(unwritable, self.running.source.path)
            if author.uid != ROOT:  # who may write it, and then has it read: the change is still under way
                await self._settled("refused", refusal.message)
            raise refusal from None
        return await self._in_force(how, number, wanted, changed, author)

    async def _rollback(
        self, version: int | None, author: Author, reason: str, *, dry_run: bool
    ) -> Mapping[str, object]:
        version, content = await self._kept(await self._before() if version is None else version)
        said = f"back to version {version}{': ' + reason if reason else ''}"
        text = f"what `gpulockctl config cat {version}` prints"
        try:
            return await self._replace("rollback", content, author, said, dry_run=dry_run, text=text)
        except ConfigurationUnwritable as error:
            error.data["version"] = version
            raise

    async def _judged(
        self, how: str, content: bytes | None, author: Author, reason: str, *, dry_run: bool, way_out: str
    ) -> tuple[Loaded, list[Change]]:
        """What `content` says, and would change. Raises `BadConfiguration`, or `RestartNeeded` where only a part of it
        could be in force: a daemon runs one version, and `way_out` says how it comes to run this one."""
        try:
            wanted = self.running.source.parsed(content)
        except ConfigError as error:
            raise await self._refused(how, author, reason, refusals.bad(error), dry_run=dry_run) from None
        changed = configuration.changes(self.running, wanted)
        if problems := configuration.needing_restart(self.running, wanted):
            refusal = refusals.needs_restart(problems, changed, way_out)
            raise await self._refused(how, author, reason, refusal, dry_run=dry_run)
        return wanted, changed

    async def _begun(self, how: str, author: Author, reason: str, changed: list[Change], content: bytes | None) -> int:
        entry = self._entry(how, author, reason, tuple(configuration.change_views(changed)))
        try:
            kept = await self._written(lambda: self._versions.begin(entry, content))
        except OSError as error:
            raise refusals.unkept(error) from error
        assert kept.version is not None, "what is kept has a number"
        return kept.version

    async def _in_force(
        self, how: str, number: int, wanted: Loaded, changed: list[Change], author: Author
    ) -> Mapping[str, object]:
        await self._settled("applied")
        self.running = wanted
        self._take_over(self.running.config)
        names = ", ".join(each.key for each in changed) or "no setting"
        self._announce(
            Announce(
                "config.reloaded",
                f"configuration {number} is in force, by {who(author)} ({how}): {names} changed",
                Severity.INFO,
                {"version": number, "how": how, "by": who(author), "changes": [each.key for each in changed]},
            )
        )
        return {**self._answer("applied", changed), "version": number}

    async def _written(self, work: Callable[[], Result]) -> Result:
        """Raises `OSError`."""

        def in_order() -> Result:
            if self._owes_start:
                self._begin()
            if self._versions.under_way is not None:
                self._versions.settle("refused", "the file was not written")
            return work()

        return await asyncio.to_thread(in_order)

    async def _settled(self, outcome: str, why: str = "") -> None:
        try:
            await asyncio.to_thread(self._versions.settle, outcome, why)
        except OSError as error:
            log.warning("that the configuration is %s cannot be written down yet: %s", outcome, error)

    async def _refused(
        self, how: str, author: Author, reason: str, error: GpulockError, *, dry_run: bool = False
    ) -> GpulockError:
        """Notes it, tells of it, and returns the error to raise."""
        if dry_run:
            return error
        entry = dataclasses.replace(self._entry(how, author, reason), outcome="refused", why=error.message)
        try:
            await self._written(lambda: self._versions.note(entry))
        except OSError as fault:
            return refusals.unkept(fault)
        said = f"the configuration stays as it is ({how} by {who(author)}): {error.message}"
        data = {"how": how, "by": who(author)}
        if how == "reload":
            self._announce(Announce("config.reload-failed", said, Severity.ERROR, data))
        else:
            self._announce(Announce("config.refused", said, Severity.WARNING, data))
        return error

    async def _set_aside(self, content: bytes | None) -> None:
        """Keeps what somebody has edited in the file and nobody has applied, before it is overwritten."""
        found = await asyncio.to_thread(self._on_disk)
        if found is None or found in (self.running.content, content):
            return
        entry = dataclasses.replace(
            self._entry("found", BY_ITSELF, ""), outcome="set-aside", why="the file held this, and it was not applied"
        )
        try:
            await self._written(lambda: self._versions.keep(entry, found))
        except OSError as error:
            raise refusals.unkept(error) from error

    def _on_disk(self) -> bytes | None:
        try:
            return self.running.source.read()
        except ConfigError:
            return None

    async def _before(self) -> int:
        """The version to go back to. Raises `InvalidRequest`, `ConfigurationRefused`."""
        try:
            before = await asyncio.to_thread(self._versions.before_current)
        except OSError as error:
            raise refusals.unreadable(error) from error
        if before is None or before.version is None:
            raise InvalidRequest("there is no earlier version to go back to", hint="gpulockctl config history")
        return before.version

    async def _kept(self, number: int | None) -> tuple[int, bytes | None]:
        current = self._versions.current
        if number is None:
            number = current.version if current is not None and current.version is not None else 0
        try:
            return number, await asyncio.to_thread(self._versions.content, number)
        except OSError as error:
            raise refusals.unreadable(error) from error
        except KeyError:
            raise InvalidRequest(
                f"version {number} of the configuration is not kept", hint="gpulockctl config history lists them"
            ) from None

    def _changes_since(self, earlier: Entry | None) -> tuple[Mapping[str, object], ...]:
        if earlier is None or earlier.version is None:
            return ()
        try:
            before = self.running.source.parsed(self._versions.content(earlier.version))
        except (KeyError, ConfigError, OSError):
            return ()
        return tuple(configuration.change_views(configuration.changes(before, self.running)))

    def _entry(self, how: str, author: Author, reason: str, changed: tuple[Mapping[str, object], ...] = ()) -> Entry:
        return Entry(self._clock.wall(), how, "begun", author, reason, changes=changed)

    def _answer(self, outcome: str, changed: list[Change]) -> Mapping[str, object]:
        """A `gpulock.configuration.ChangeDocument`."""
        current = self._versions.current
        return {
            "schema_version": SCHEMA_VERSION,
            "outcome": outcome,
            "version": None if current is None else current.version,
            "file": str(self.running.source.path),
            "changes": [dict(each) for each in configuration.change_views(changed)],
        }


def who(author: Author) -> str:
    if author.uid is None:
        return author.user
    return f"{author.user or 'somebody'} (pid {author.pid}), uid {author.uid}"


def _told(entry: Entry, current: Entry | None) -> Mapping[str, object]:
    """A `gpulock.configuration.ConfigEntryView`."""
    whole = dataclasses.asdict(entry)
    author = whole.pop("author")
    is_current = entry.version is not None and current is not None and entry.version == current.version
    return {**whole, **author, "changes": [dict(each) for each in entry.changes], "current": is_current}
