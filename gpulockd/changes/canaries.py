"""Runs a canary: gives a share of the sessions another configuration, counts what comes of it, and takes it back.

Every change is recorded before it acts. With a Redis that several hosts share, a person's change is committed there
first, and the others take it over; what this daemon decides itself (harm, the end of its time) acts here at once, and
is told to the others as soon as they can be reached.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from gpulock.documents import SCHEMA_VERSION
from gpulock.errors import ConfigurationRefused, ConfigurationUnwritable, LeaseUnavailable

from .. import config as configuration
from ..config import Config, ConfigError
from ..core.actions import Announce, Severity
from ..core.canary import TRANSITIONS, Course, Outcomes, Step, Thresholds
from ..core.settings import Trial
from ..ports import Author, Clock, Observer, SharedCanary, Unavailable
from . import refusals
from .agreement import Agreement
from .canaryfile import CanaryFile, Record, canary_view
from .changing import BY_ITSELF, Changing, who
from .entries import digest_of
from .watching import Watch

SAVE_EVERY = 2.0
"""Seconds between two looks at a canary that runs: its counts are saved, and its end is noticed."""

log = logging.getLogger(__name__)


class Canaries:
    """The canary that runs, or the last that did."""

    def __init__(
        self,
        changing: Changing,
        state_dir: Path,
        clock: Clock,
        announce: Observer,
        thresholds: Callable[[], Thresholds],
        shared: SharedCanary | None = None,
    ) -> None:
        self.record: Record | None = None
        self._changing = changing
        self._file = CanaryFile(state_dir)
        self._clock = clock
        self._announce = announce
        self._thresholds = thresholds
        self._agreement = None if shared is None else Agreement(shared, clock)
        self._watch: Watch | None = None
        self._saved: Mapping[str, Outcomes] = {}
        self._ending = False
        """Whether it is being ended by this daemon."""
        self._wake = asyncio.Event()

    def trial(self, config: Config) -> Trial | None:
        """What a share of the sessions has in place of `config`."""
        record = self.record
        if record is None or record.course is not Course.RUNNING:
            return None
        try:
            candidate = self._changing.running.source.parsed(record.content.encode()).config
        except ConfigError as error:  # it was sound when it began; the daemon or its environment is another by now
            log.error("the candidate of canary %s cannot be used, and nobody has it: %s", record.id, error)
            return None
        return Trial(record.id, record.percent, configuration.core_settings(configuration.tried(config, candidate)))

    async def begin(self) -> None:
        """Goes on where an earlier daemon stopped, with what the other hosts have decided since."""
        found = await asyncio.to_thread(self._file.read)
        if found is not None:
            self._take(found.resumed(self._clock.now(), self._clock.boot_id))
        await self._agree()
        if self.trial(self._changing.running.config) is not None:
            self._changing.refresh()
            self._told("the canary goes on")

    # What a person asks for.

    async def start(
        self, content: bytes, percent: float, lasts: float, author: Author, reason: str = ""
    ) -> Mapping[str, object]:
        """Gives `percent` of the sessions the values of `content`, for `lasts` seconds.

        Raises `BadConfiguration`, or `ConfigurationRefused`: it differs in more than can be tried, or in nothing, or
        a canary runs already.
        """
        return await self._changing.undisturbed(self._start(content, percent, lasts, author, reason))

    async def stage(self, percent: float, author: Author, reason: str = "") -> Mapping[str, object]:
        """Another share. Raises `ConfigurationRefused` where no canary runs."""
        return await self._changing.undisturbed(self._stage(percent, author, reason))

    async def promote(self, author: Author, reason: str = "") -> Mapping[str, object]:
        """Makes the candidate everybody's. Raises as `Changing.apply` does, and `ConfigurationRefused`."""
        return await self._changing.undisturbed(self._promote(author, reason))

    async def abort(self, author: Author, reason: str = "") -> Mapping[str, object]:
        """Takes the candidate back, here in any case. Raises `ConfigurationRefused` where no canary runs."""
        return await self._changing.undisturbed(self._abort(author, reason))

    def status(self) -> Mapping[str, object]:
        """A `gpulock.configuration.CanaryDocument`."""
        if (record := self.record) is None:
            return {"schema_version": SCHEMA_VERSION, "canary": None}
        shared = self._agreement is not None and not record.pending
        view = canary_view(record, self._counts_of(record), self._thresholds(), self._clock.now(), shared=shared)
        return {"schema_version": SCHEMA_VERSION, "canary": view}

    # What it observes.

    def observe(self, announce: Announce) -> None:
        """A `ports.Observer`: counts how the requests of both variants end."""
        variant = announce.data.get("variant")
        if variant and type(variant) is str:
            self._count(variant, announce.kind, announce.data.get("code"))

    def turned_away(self, variant: str) -> None:
        """A request of that variant asked for what only its settings forbid."""
        said = "a request was refused by the candidate alone"
        self._announce(Announce("canary.turned-away", said, Severity.DEBUG, {"variant": variant}))

    def use_of_redis(self, share: float) -> None:
        """How much of a processor Redis took since it was asked last."""
        if self._watch is not None:
            self._watch.use_of_redis(share)
            self._judge(self._watch)

    def _count(self, variant: str, kind: str, code: object) -> None:
        if self._watch is not None and self._watch.count(variant, kind, code):
            self._judge(self._watch)

    def _judge(self, watch: Watch) -> None:
        running = self.record is not None and self.record.course is Course.RUNNING and not self._ending
        if running and (why := watch.harm(self._thresholds())):
            self._end(Step.HARM, why)

    def _end(self, step: Step, why: str) -> None:
        self._ending = True
        self._changing.spawn(self._end_by_itself(step, why))

    async def run(self) -> None:
        """Looks after a canary as long as one runs, and sleeps otherwise."""
        while True:
            if self.record is None or self.record.course is not Course.RUNNING:
                self._wake.clear()
                await self._wake.wait()
            await asyncio.sleep(SAVE_EVERY)
            record = self.record
            if record is not None and record.course is Course.RUNNING and not self._ending:
                if self._clock.now() >= record.ends_at:
                    self._end(Step.EXPIRE, "its time is over")
                elif self._counts_of(record) != self._saved:
                    await self._changing.undisturbed(self._save_counts())

    # The hosts agree.

    async def heard(self, revision: int) -> None:
        """A heartbeat, or another host, says which revision stands in Redis; 0: none does."""
        record = self.record
        known = record.revision if record else 0
        lost = record is not None and revision == 0 and record.course is Course.RUNNING
        if revision > known or lost or (record is not None and record.pending):
            await self._changing.undisturbed(self._agree())

    async def _agree(self) -> None:
        """Takes over what the hosts share by now, or tells them what they have missed."""
        if self._agreement is None:
            return
        try:
            standing, record = await self._agreement.standing(), self.record
            if record is not None and (record.pending or (standing is None and record.course is Course.RUNNING)):
                await self._tell(self._agreement, record)
            else:
                await self._adopt(standing)
        except (OSError, Unavailable) as error:
            log.warning("the hosts cannot agree on a canary now: %s", error)

    # One change, from its beginning to its end; nobody else changes anything meanwhile.

    async def _start(
        self, content: bytes, percent: float, lasts: float, author: Author, reason: str
    ) -> Mapping[str, object]:
        running = self._changing.running
        try:
            wanted = running.source.parsed(content)
        except ConfigError as error:
            raise refusals.bad(error) from None
        changed = configuration.changes(running, wanted)
        if others := configuration.cannot_be_tried(changed):
            raise refusals.not_for_a_canary(others)
        if not changed:
            raise ConfigurationRefused("the candidate changes no setting", hint="gpulockctl config diff")
        if self.record is not None and self.record.course is Course.RUNNING:
            raise ConfigurationRefused(
                f"canary {self.record.id} runs already, by {who(self.record.author)}",
                hint="gpulockctl config promote, or gpulockctl config abort",
            )
        now = self._clock.now()
        record = Record(
            id=f"c{secrets.token_hex(4)}",
            content=content.decode(),
            base=digest_of(running.content),
            percent=percent,
            author=author,
            reason=reason,
            at=self._clock.wall(),
            ends_at=now + lasts,
            left=lasts,
            boot_id=self._clock.boot_id,
            revision=self.record.revision if self.record else 0,
        )
        await self._commit(record, f"canary {record.id}: {percent:g} % of the sessions, by {who(author)}")
        return self.status()

    async def _stage(self, percent: float, author: Author, reason: str) -> Mapping[str, object]:
        record = self._running()
        course = TRANSITIONS[record.course, Step.STAGE]
        changed = dataclasses.replace(
            record, course=course, percent=percent, author=author, reason=reason, at=self._clock.wall()
        )
        await self._commit(changed, f"canary {record.id}: {percent:g} % of the sessions, by {who(author)}")
        return self.status()

    async def _abort(self, author: Author, reason: str) -> Mapping[str, object]:
        record = self._running()
        course = TRANSITIONS[record.course, Step.ABORT]
        ended = dataclasses.replace(record, course=course, author=author, reason=reason, at=self._clock.wall())
        said = f"canary {record.id}: aborted, by {who(author)}{': ' + reason if reason else ''}"
        await self._finish(ended, author, said)
        return self.status()

    async def _promote(self, author: Author, reason: str) -> Mapping[str, object]:
        await self._agree()  # another host may have seen harm just now
        record = self._running()
        if digest_of(self._changing.running.content) not in (record.base, record.digest):
            raise ConfigurationRefused(
                "the configuration was changed since the canary began, and the candidate would undo that",
                hint="gpulockctl config abort, then apply what both want",
            )
        try:
            await self._changing.replace("promote", record.content.encode(), author, reason)
        except ConfigurationUnwritable as error:
            error.data["content"] = record.content
            raise
        course = TRANSITIONS[record.course, Step.PROMOTE]
        ended = dataclasses.replace(record, course=course, author=author, reason=reason, at=self._clock.wall())
        await self._finish(ended, author, f"canary {record.id}: promoted, by {who(author)}")
        return self.status()

    async def _end_by_itself(self, step: Step, why: str) -> None:
        try:
            record = self.record
            if record is not None and (course := TRANSITIONS.get((record.course, step))) is not None:
                ended = dataclasses.replace(record, course=course, why=why, at=self._clock.wall())
                await self._finish(ended, BY_ITSELF, f"canary {record.id}: {course}: {why}")
        finally:
            self._ending = False

    async def _finish(self, ended: Record, author: Author, said: str) -> None:
        """Takes the candidate back here first: the others may not be reached."""
        try:
            await self._settle(dataclasses.replace(ended, pending=self._agreement is not None))
        except OSError as error:
            log.error("that the canary has ended cannot be written down: %s", error)
        self._told(said)
        await self._changing.note("canary", author, said)
        if self._agreement is not None and self.record is not None:
            try:
                await self._tell(self._agreement, self.record)
            except (OSError, Unavailable) as error:
                log.warning("the other hosts do not know yet that the canary has ended: %s", error)

    async def _commit(self, changed: Record, said: str) -> None:
        """First where the hosts agree, then on the disk, then it acts."""
        if self._agreement is not None:
            try:
                standing, ours = await self._agreement.propose(changed, changed.revision)
            except Unavailable as error:
                raise LeaseUnavailable(
                    f"the other hosts cannot be told of the canary: {error}", hint="nothing was changed; try again"
                ) from None
            if not ours or standing is None:
                await self._adopt(standing)
                raise ConfigurationRefused("another host has changed the canary", hint="gpulockctl config canary")
            changed = standing
        try:
            await self._settle(changed)
        except OSError as error:
            raise refusals.unkept(error) from error
        self._told(said)
        await self._changing.note("canary", changed.author, f"{said}{': ' + changed.reason if changed.reason else ''}")

    async def _settle(self, record: Record) -> None:
        """On the disk, then in force. What takes the candidate back acts even where that cannot be written down.

        Raises `OSError`.
        """
        left = record.ends_at - self._clock.now()
        record = dataclasses.replace(record, left=left, outcomes=self._counts_of(record))
        try:
            await asyncio.to_thread(self._file.write, record)
        except OSError:
            if record.course is not Course.RUNNING:
                self._act(record)
            raise
        self._act(record)

    def _act(self, record: Record) -> None:
        self._take(record)
        self._changing.refresh()

    async def _tell(self, agreement: Agreement, record: Record) -> None:
        """Has the hosts agree on what happened here. Raises `OSError`, `Unavailable`."""
        standing, ours = await agreement.propose(record, record.revision)
        while not ours and standing is not None and _goes_on_elsewhere(record, standing):
            standing, ours = await agreement.propose(record, standing.revision)
        if ours and standing is not None:
            await self._settle(standing)
        else:
            await self._adopt(standing)

    async def _adopt(self, record: Record | None) -> None:
        """What another host did acts here too. A promoted candidate is taken over as if it had been applied here."""
        if record is None or (self.record is not None and record.revision <= self.record.revision):
            return
        if record.course is Course.PROMOTED:
            await self._promoted_elsewhere(record)
        try:
            await self._settle(record)
        except OSError as error:
            log.warning("the canary of the other hosts cannot be written down: %s", error)
        why = f": {record.why}" if record.why else ""
        said = f"canary {record.id} is {record.course} at {record.percent:g} %, by another host{why}"
        self._told(said)
        await self._changing.note("canary", record.author, said)

    async def _promoted_elsewhere(self, record: Record) -> None:
        present = digest_of(self._changing.running.content)
        if present == record.digest:
            return
        took_part = self.record is not None and self.record.id == record.id
        if present != record.base or not took_part:  # a file is not overwritten for what nobody saw run on this host
            log.error("canary %s was promoted; it did not run above the file of this host, which stays", record.id)
            return
        try:
            await self._changing.replace("promote", record.content.encode(), record.author, record.reason)
        except ConfigurationRefused as error:
            log.error("canary %s was promoted, and cannot be taken over here: %s", record.id, error)

    async def _save_counts(self) -> None:
        record = self.record
        if record is None:
            return
        left = record.ends_at - self._clock.now()
        record = dataclasses.replace(record, outcomes=self._counts_of(record), left=left)
        try:
            await asyncio.to_thread(self._file.write, record)
        except OSError as error:
            log.warning("the counts of the canary cannot be written down: %s", error)
            return
        self._saved = record.outcomes

    def _counts_of(self, record: Record) -> Mapping[str, Outcomes]:
        """What was counted of it here, as it is now."""
        watch = self._watch
        return watch.outcomes if watch is not None and watch.canary == record.id else record.outcomes

    def _take(self, record: Record) -> None:
        if self._watch is None or self._watch.canary != record.id:
            self._watch = Watch(record.id, record.outcomes)
        self.record, self._saved = record, record.outcomes
        self._wake.set()

    def _running(self) -> Record:
        if self.record is None or self.record.course is not Course.RUNNING:
            raise ConfigurationRefused("no canary runs", hint="gpulockctl config canary FILE --percent 10")
        return self.record

    def _told(self, said: str) -> None:
        assert self.record is not None, "there is one to tell of"
        course = self.record.course
        data = {"canary": self.record.id, "course": course.value, "percent": self.record.percent}
        if course is Course.ROLLED_BACK:
            self._announce(Announce("canary.rolled-back", said, Severity.WARNING, data))
        else:
            self._announce(Announce(f"canary.{course}", said, Severity.INFO, data))


def _goes_on_elsewhere(ended: Record, standing: Record) -> bool:
    """Whether the others have only moved on with what has ended here: then they have not seen the harm."""
    return standing.id == ended.id and standing.course is Course.RUNNING and ended.course is not Course.RUNNING
