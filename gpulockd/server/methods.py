"""Every method: who may call it, its parameters, and what becomes of it.

The functions turn a message into an event or a view for the core, or ask one of the `Sources`. They decide nothing
that depends on the core's state: whether a lock is the caller's own is judged there, by session.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpulock import wire
from gpulock.documents import SCHEMA_VERSION
from gpulock.durations import format_duration
from gpulock.errors import InvalidRequest, JournalUnavailable, LeaseUnavailable

from ..core import views
from ..core.canary import STABLE, named
from ..core.events import (
    AcquireRequested,
    BeatReported,
    CancelRequested,
    DrainRequested,
    ExtendRequested,
    ReleaseRequested,
    RevokeRequested,
    SessionIntroduced,
    UndrainRequested,
)
from ..core.model import State, Wish
from ..core.settings import Settings, Trial
from ..history import History, Sought
from ..ports import Author, Unavailable, View
from .context import Caller, Context

VERSIONS = (wire.VERSION,)
"""The protocol versions that this daemon speaks."""


class Access(enum.Enum):
    ANYONE = "anyone"
    """Everybody who may connect. What is a session's own is guarded in the core."""
    ADMINISTRATOR = "administrator"
    """Root, the daemon's own user, and those in `daemon.admins`."""


# How much of a connection's window an unanswered request takes up. See `connection`.
WAITING = 0
"""May stay unanswered for long; the core limits how many."""
COMMAND = 1
QUESTION = 16
"""Its answer may be large."""


@dataclass(frozen=True, slots=True)
class Method:
    access: Access
    parameters: type[tuple[Any, ...]]
    cost: int
    perform: Callable[[Context, Caller, int, Any], None]


def _hello(context: Context, caller: Caller, msgid: int, params: wire.Hello) -> None:
    version = _negotiated(params.versions)
    # A client's key stays: this answer may be the last word of a daemon, and never arrive.
    key = params.reattach or secrets.token_urlsafe(24)
    caller.key = _digest(key)
    answer = {
        "version": version,
        "daemon": context.daemon,
        "host": context.settings.host,
        "reattach": key,
        "reattach_grace": context.settings.reattach_grace,
        "retry": {
            "poll_interval": context.settings.poll_interval,
            "max_poll_interval": context.settings.max_poll_interval,
            "exponential_backoff": context.settings.exponential_backoff,
        },
        "limits": context.limits,
        "quiet": ("release",),
        "restart_safe": caller.restart_safe,
    }
    caller.introduced(_digest(key), params.client, resumes=params.resumes)
    reattach = None if params.reattach is None else _digest(params.reattach)
    context.mailbox.post(SessionIntroduced(caller.session, msgid, params.client, caller.key, reattach, answer))


def _negotiated(offered: tuple[int, ...]) -> int:
    common = set(offered).intersection(VERSIONS)
    if not common:
        raise InvalidRequest(
            f"no common protocol version: the client speaks {_listed(offered)}, the daemon {_listed(VERSIONS)}",
            hint="upgrade gpulock" if max(offered, default=0) < min(VERSIONS) else "upgrade gpulockd",
            data={"client": list(offered), "daemon": list(VERSIONS)},
        )
    return max(common)


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions)) or "none"


def _digest(key: str) -> str:
    """What the core and the journal know of a key: they never see one that could be used."""
    return hashlib.sha256(key.encode()).hexdigest()


def _acquire(context: Context, caller: Caller, msgid: int, params: wire.Acquire) -> None:
    settings = context.settings
    trial = settings.trial
    wanted = wish(params, settings) if trial is None else _tried(context, caller, params, trial)
    context.mailbox.post(AcquireRequested(caller.session, msgid, wanted))


def _tried(context: Context, caller: Caller, params: wire.Acquire, trial: Trial) -> Wish:
    """As the session's side of the canary has it. Where only the candidate refuses it, that speaks against it."""
    variant = trial.variant_of(caller.key)
    name = named(trial.id, variant)
    if variant == STABLE:
        return dataclasses.replace(wish(params, context.settings), variant=name)
    try:
        return dataclasses.replace(wish(params, trial.candidate), variant=name)
    except InvalidRequest:
        wish(params, context.settings)  # refused by everybody's settings, it says nothing
        context.sources.canary.turned_away(name)
        raise


def wish(params: wire.Acquire, settings: Settings) -> Wish:
    """`params` with the daemon's defaults, or those of its profile. Raises `InvalidRequest` for a profile that there is
    not, and for a hold that would never be allowed."""
    if params.profile:
        if params.profile not in settings.profiles:
            raise _unknown_profile(params.profile, sorted(settings.profiles))
        settings = settings.under(params.profile)
    max_hold = params.max_hold
    if max_hold is None:
        max_hold = settings.lock_timeout
    elif max_hold > settings.levels.hard:
        raise InvalidRequest(
            f"parameter 'max_hold': {format_duration(max_hold)} is longer than any lock may be held here",
            hint=f"at most {format_duration(settings.levels.hard)}, the daemon's hard_timeout",
            data={"max_hold": max_hold, "hard_timeout": settings.levels.hard},
        )
    gpus = params.gpus
    return Wish(
        count=gpus if isinstance(gpus, int) else len(gpus),
        selectors=() if isinstance(gpus, int) else gpus,
        wait_timeout=settings.max_wait_time if params.wait_timeout is None else params.wait_timeout,
        max_hold=max_hold,
        priority=params.priority,
        task=params.task,
        profile=params.profile,
        labels=params.labels,
        within=params.within,
        notify=frozenset(params.notify),
        levels=settings.levels,
        default_hold=params.max_hold is None,
    )


def _unknown_profile(name: str, known: list[str]) -> InvalidRequest:
    return InvalidRequest(
        f"parameter 'profile': there is no profile {name!r} here",
        hint=f"there are: {', '.join(known)}" if known else "the daemon's configuration has none",
        data={"profile": name, "profiles": known},
    )


def _cancel(context: Context, caller: Caller, msgid: int, params: wire.Cancel) -> None:
    context.mailbox.post(CancelRequested(caller.session, msgid, params.msgid))


def _release(context: Context, caller: Caller, msgid: int, params: wire.Release) -> None:
    context.mailbox.post(ReleaseRequested(caller.session, msgid, params.lock))


def release_quietly(context: Context, caller: Caller, params: wire.Release) -> None:
    """A release that came as a notification."""
    context.mailbox.post(ReleaseRequested(caller.session, None, params.lock))


def _extend(context: Context, caller: Caller, msgid: int, params: wire.Extend) -> None:
    context.mailbox.post(ExtendRequested(caller.session, msgid, params.lock, params.max_hold))


def _beat(context: Context, caller: Caller, msgid: int, params: wire.Beat) -> None:
    context.mailbox.post(BeatReported(caller.session, msgid, params.lock, params.progress, params.note))


def _status(context: Context, caller: Caller, msgid: int, params: wire.Status) -> None:
    caller.undertake(msgid, _look(context, caller.session, msgid, fleet=params.fleet))


async def _look(context: Context, session: int, msgid: int, *, fleet: bool) -> None:
    await context.sources.refresh()
    more: dict[str, object] = {}
    if fleet:
        try:
            more["fleet"] = list(await context.sources.fleet())
        except Unavailable as error:
            raise LeaseUnavailable(f"the other hosts cannot be listed: {error}", hint="gpulockctl doctor") from None
    context.mailbox.ask(session, msgid, _status_view(context, more))


def _status_view(context: Context, more: Mapping[str, object]) -> View:
    return lambda state, now: {**views.status(state, now), "daemon": context.sources.daemon(), **more}


def _queue(context: Context, caller: Caller, msgid: int, _params: wire.Nothing) -> None:
    context.mailbox.ask(caller.session, msgid, views.queue)


def _why(context: Context, caller: Caller, msgid: int, params: wire.Subject) -> None:
    def view(state: State, now: float) -> Mapping[str, object]:
        return views.why(state, now, params.subject)

    context.mailbox.ask(caller.session, msgid, view)


def _describe(context: Context, caller: Caller, msgid: int, params: wire.Subject) -> None:
    def view(state: State, now: float) -> Mapping[str, object]:
        return views.describe(state, now, params.subject)

    context.mailbox.ask(caller.session, msgid, view)


def _history(context: Context, caller: Caller, msgid: int, params: wire.History) -> None:
    caller.undertake(msgid, _read_history(context, caller, msgid, params))


async def _read_history(context: Context, caller: Caller, msgid: int, params: wire.History) -> None:
    sources = context.sources
    now = sources.wall()
    sought = Sought(
        gpu=None if params.gpu is None else sources.gpu(params.gpu),
        user=params.user,
        task=params.task,
        how=params.how,
        since=None if params.since is None else now - params.since,
        until=None if params.until is None else now - params.until,
    )
    try:
        document = await asyncio.to_thread(_past, sources.history, params, sought)
    except Unavailable as error:
        raise JournalUnavailable(f"the history cannot be read: {error}", hint="gpulockctl doctor") from None
    caller.answer(msgid, document)


def _past(history: History, params: wire.History, sought: Sought) -> dict[str, object]:
    document: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "locks": [dataclasses.asdict(each) for each in history.history(params.limit, sought)],
    }
    if params.requests:
        document["requests"] = [dataclasses.asdict(each) for each in history.unmet(params.limit, sought)]
    if params.totals:
        document["totals"] = [dataclasses.asdict(each) for each in history.totals(sought)]
    return document


def _watch(context: Context, caller: Caller, msgid: int, _params: wire.Nothing) -> None:
    caller.watched()
    caller.answer(msgid, {})
    context.watchers.add(caller)


def _revoke(context: Context, caller: Caller, msgid: int, params: wire.Revoke) -> None:
    context.mailbox.post(RevokeRequested(caller.session, msgid, params.subject, params.reason, params.grace))


def _drain(context: Context, caller: Caller, msgid: int, params: wire.Drain) -> None:
    context.mailbox.post(DrainRequested(caller.session, msgid, params.gpu, params.reason))


def _undrain(context: Context, caller: Caller, msgid: int, params: wire.Undrain) -> None:
    context.mailbox.post(UndrainRequested(caller.session, msgid, params.gpu))


def _author(caller: Caller) -> Author:
    owner = caller.owner
    return Author(owner.user, owner.uid, owner.process.pid, owner.command)


def _answering(
    work: Callable[[Context, Caller, Any], Awaitable[Mapping[str, object]]],
) -> Callable[[Context, Caller, int, Any], None]:
    """A method whose answer takes a while and does not come from the core."""

    async def see_through(context: Context, caller: Caller, msgid: int, params: object) -> None:
        caller.answer(msgid, await work(context, caller, params))

    def perform(context: Context, caller: Caller, msgid: int, params: object) -> None:
        caller.undertake(msgid, see_through(context, caller, msgid, params))

    return perform


async def _reload(context: Context, caller: Caller, params: wire.Reload) -> Mapping[str, object]:
    return await context.sources.changes.reload(_author(caller), params.reason, dry_run=params.dry_run)


async def _config_apply(context: Context, caller: Caller, params: wire.ConfigApply) -> Mapping[str, object]:
    return await context.sources.changes.apply(
        params.content.encode(errors="surrogatepass"),
        _author(caller),
        params.reason,
        dry_run=params.dry_run,
    )


async def _config_rollback(context: Context, caller: Caller, params: wire.ConfigRollback) -> Mapping[str, object]:
    return await context.sources.changes.rollback(
        params.version, _author(caller), params.reason, dry_run=params.dry_run
    )


async def _config(context: Context, _: Caller, _params: wire.Nothing) -> Mapping[str, object]:
    return await context.sources.changes.in_force()


async def _config_history(context: Context, _: Caller, params: wire.ConfigHistory) -> Mapping[str, object]:
    return await context.sources.changes.history(params.limit, params.before)


async def _config_version(context: Context, _: Caller, params: wire.ConfigVersion) -> Mapping[str, object]:
    return await context.sources.changes.version(params.version)


def _canary(context: Context, caller: Caller, msgid: int, _params: wire.Nothing) -> None:
    caller.answer(msgid, context.sources.canary.status())


async def _canary_start(context: Context, caller: Caller, params: wire.CanaryStart) -> Mapping[str, object]:
    content = params.content.encode(errors="surrogatepass")
    return await context.sources.canary.start(content, params.percent, params.lasts, _author(caller), params.reason)


async def _canary_stage(context: Context, caller: Caller, params: wire.CanaryStage) -> Mapping[str, object]:
    return await context.sources.canary.stage(params.percent, _author(caller), params.reason)


async def _canary_promote(context: Context, caller: Caller, params: wire.CanaryEnd) -> Mapping[str, object]:
    return await context.sources.canary.promote(_author(caller), params.reason)


async def _canary_abort(context: Context, caller: Caller, params: wire.CanaryEnd) -> Mapping[str, object]:
    return await context.sources.canary.abort(_author(caller), params.reason)


METHODS: Mapping[str, Method] = {
    "hello": Method(Access.ANYONE, wire.Hello, COMMAND, _hello),
    "acquire": Method(Access.ANYONE, wire.Acquire, WAITING, _acquire),
    "cancel": Method(Access.ANYONE, wire.Cancel, COMMAND, _cancel),
    "release": Method(Access.ANYONE, wire.Release, COMMAND, _release),
    "extend": Method(Access.ANYONE, wire.Extend, COMMAND, _extend),
    "beat": Method(Access.ANYONE, wire.Beat, COMMAND, _beat),
    "status": Method(Access.ANYONE, wire.Status, QUESTION, _status),
    "queue": Method(Access.ANYONE, wire.Nothing, QUESTION, _queue),
    "why": Method(Access.ANYONE, wire.Subject, QUESTION, _why),
    "describe": Method(Access.ANYONE, wire.Subject, QUESTION, _describe),
    "history": Method(Access.ANYONE, wire.History, QUESTION, _history),
    "config": Method(Access.ANYONE, wire.Nothing, QUESTION, _answering(_config)),
    "watch": Method(Access.ANYONE, wire.Nothing, COMMAND, _watch),
    "revoke": Method(Access.ADMINISTRATOR, wire.Revoke, COMMAND, _revoke),
    "drain": Method(Access.ADMINISTRATOR, wire.Drain, COMMAND, _drain),
    "undrain": Method(Access.ADMINISTRATOR, wire.Undrain, COMMAND, _undrain),
    "reload": Method(Access.ADMINISTRATOR, wire.Reload, COMMAND, _answering(_reload)),
    "config_history": Method(Access.ANYONE, wire.ConfigHistory, QUESTION, _answering(_config_history)),
    "config_version": Method(Access.ADMINISTRATOR, wire.ConfigVersion, QUESTION, _answering(_config_version)),
    "config_apply": Method(Access.ADMINISTRATOR, wire.ConfigApply, COMMAND, _answering(_config_apply)),
    "canary": Method(Access.ANYONE, wire.Nothing, QUESTION, _canary),
    "canary_start": Method(Access.ADMINISTRATOR, wire.CanaryStart, COMMAND, _answering(_canary_start)),
    "canary_stage": Method(Access.ADMINISTRATOR, wire.CanaryStage, COMMAND, _answering(_canary_stage)),
    "canary_promote": Method(Access.ADMINISTRATOR, wire.CanaryEnd, COMMAND, _answering(_canary_promote)),
    "canary_abort": Method(Access.ADMINISTRATOR, wire.CanaryEnd, COMMAND, _answering(_canary_abort)),
    "config_rollback": Method(Access.ADMINISTRATOR, wire.ConfigRollback, COMMAND, _answering(_config_rollback)),
}
