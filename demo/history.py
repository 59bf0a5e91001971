"""Judges what workers wrote in their diaries: could it have happened under a lock that keeps its word?

Only what is provable counts, so a finding is never a false alarm. A worker writes

    want     {gpus, wait, expect}    before it asks; `expect`: "granted", "timeout", or "either" of them, or that it
                                     gives up early because the daemon is away
    refused  {code}                  after it was answered that it gets nothing
    got      {lock, token, gpus}     after it was granted a lock
    kept     {token, asked}          after the daemon said, asked at that time, that the lock is still its own
    denied   {token, why}            after the daemon said that it is not
    leaving  {token, lost, away}     before it lets go; `lost`: why, if it was told so; `away`: no daemon was there
    left     {token}                 after it let go
    done     {}                      at its end

and whoever kills writes `kills {victim}` before the SIGKILL. The one who looks after the daemon writes `down` when it
is certainly dead, and `up` when it answers; the daemon is the victim named "daemon".

A worker certainly holds its GPUs from `got` (the grant came earlier) to `leaving` (the release came later). A killed
one certainly held them until it was about to be killed: it lived then, and had not begun to let go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .diary import Entry

DAEMON = "daemon"
PROMPT = 2.0
"""Seconds after its time within which a request that is to time out must have done so."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock, for as long as it was certainly held."""

    who: str
    token: int
    gpus: tuple[int, ...]
    start: float
    end: float
    killed: bool


@dataclass(frozen=True, slots=True)
class Death:
    """One of the daemon's. What was granted earlier than `down` was granted by the dead one, if ever so late."""

    struck: float
    """When it was about to be killed."""
    down: float
    up: float
    killed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    findings: tuple[str, ...]
    """What must not be, in sentences; empty where all is well."""
    holds: int
    timeouts: int
    killed_holding: int
    """Workers that were killed in the middle of a hold."""
    passed_on: int
    """Those of them whose GPUs were all granted to others later."""
    daemon_deaths: int
    outlasted: int
    """Holds that went on over a death of the daemon, each counted once."""
    confirmed: int
    """Those of them that the next daemon was asked about, and knew."""

    @property
    def good(self) -> bool:
        return not self.findings


def judge(entries: Sequence[Entry], origin: float | None = None) -> Verdict:
    """`origin` is the moment that findings count from; None: the first entry's."""
    history = _History(entries, origin)
    outlasted = {hold.token for death in history.deaths for hold in history.holds if hold.start < death.down < hold.end}
    return Verdict(
        findings=(
            *overlaps(history.holds, history.when),
            *tokens_that_fell(history.holds, history.when),
            *tokens_given_twice(history.holds, history.when),
            *_lost_locks(history),
            *_unconfirmed_locks(history),
            *_requests_gone_wrong(history),
            *_unexplained_ends(history),
        ),
        holds=len(history.holds),
        timeouts=sum(entry.facts["code"] == "wait-timeout" for entry in history.of_kind("refused")),
        killed_holding=sum(hold.killed for hold in history.holds),
        passed_on=sum(hold.killed and _passed_on(history, hold) for hold in history.holds),
        daemon_deaths=len(history.deaths),
        outlasted=len(outlasted),
        confirmed=len(outlasted & set(_confirmed(history))),
    )


class _History:
    """The entries, put in relation."""

    def __init__(self, entries: Sequence[Entry], origin: float | None) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.at)
        self.origin = origin if origin is not None else self.entries[0].at if self.entries else 0.0
        self.end = self.entries[-1].at if self.entries else 0.0
        self.by_worker: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            self.by_worker[entry.who].append(entry)
        self.kills = {
            entry.facts["victim"]: entry.at for entry in self.of_kind("kills") if entry.facts["victim"] != DAEMON
        }
        self.holds = sorted(
            (hold for worker in self.by_worker for hold in self._holds(worker)), key=lambda hold: hold.start
        )
        self.deaths = list(self._deaths())

    def of_kind(self, what: str) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.what == what)

    def when(self, at: float) -> str:
        return f"{at - self.origin:.3f} s"

    def _holds(self, worker: str) -> Iterator[Hold]:
        entries = self.by_worker[worker]
        # Not its last entry alone: a worker that was killed may have written one more after the killer's.
        last = max(entries[-1].at, self.kills.get(worker, 0.0))
        leaving = {entry.facts["token"]: entry.at for entry in entries if entry.what == "leaving"}
        for entry in entries:
            if entry.what == "got":
                token = entry.facts["token"]
                yield Hold(
                    worker,
                    token,
                    tuple(entry.facts["gpus"]),
                    entry.at,
                    leaving.get(token, last),
                    killed=token not in leaving and worker in self.kills,
                )

    def _deaths(self) -> Iterator[Death]:
        ups = [entry.at for entry in self.of_kind("up")]
        strikes = [entry.at for entry in self.of_kind("kills") if entry.facts["victim"] == DAEMON]
        before = 0.0
        for down in (entry.at for entry in self.of_kind("down")):
            struck = next((strike for strike in strikes if before < strike < down), None)
            yield Death(
                down if struck is None else struck,
                down,
                up=next((up for up in ups if up > down), self.end),
                killed=struck is not None,
            )
            before = down


def _passed_on(history: _History, hold: Hold) -> bool:
    later = {gpu for other in history.holds if other.start > hold.end for gpu in other.gpus}
    return later.issuperset(hold.gpus)


def overlaps(holds: Sequence[Hold], when: Callable[[float], str]) -> Iterator[str]:
    """Two at once on a GPU. `holds` are in the order of their starts; `when` writes a time."""
    for gpu in sorted({gpu for hold in holds for gpu in hold.gpus}):
        latest = None
        for hold in holds:
            if gpu not in hold.gpus:
                continue
            if latest is not None and hold.start < latest.end:
                yield (
                    f"two at once on GPU {gpu}: {latest.who} held it from {when(latest.start)} to "
                    f"{when(latest.end)} (token {latest.token}), and {hold.who} got it at "
                    f"{when(hold.start)} (token {hold.token})"
                )
            if latest is None or hold.end > latest.end:
                latest = hold


def tokens_that_fell(holds: Sequence[Hold], when: Callable[[float], str]) -> Iterator[str]:
    """A later holder of a GPU with a smaller token."""
    for gpu in sorted({gpu for hold in holds for gpu in hold.gpus}):
        for earlier, later in pairwise(hold for hold in holds if gpu in hold.gpus):
            if later.token <= earlier.token:
                yield (
                    f"a token fell on GPU {gpu}: {earlier.who} had {earlier.token} at {when(earlier.start)}, "
                    f"and {later.who} got {later.token} at {when(later.start)}"
                )


def tokens_given_twice(holds: Sequence[Hold], when: Callable[[float], str]) -> Iterator[str]:
    """One token for two locks of a host."""
    seen: dict[int, Hold] = {}
    for hold in holds:
        if (first := seen.setdefault(hold.token, hold)) is not hold:
            yield (
                f"token {hold.token} was given twice: to {first.who} at {when(first.start)}, and to "
                f"{hold.who} at {when(hold.start)}"
            )


def _lost_locks(history: _History) -> Iterator[str]:
    for entry in history.entries:
        if entry.what == "denied":
            yield (
                f"a lock was lost: at {history.when(entry.at)} the daemon denied {entry.who} token "
                f"{entry.facts['token']}: {entry.facts['why']}"
            )
        elif entry.what == "leaving" and entry.facts["lost"] is not None:
            yield (
                f"a lock was lost: {entry.who} was told that token {entry.facts['token']} is gone, by "
                f"{history.when(entry.at)}: {entry.facts['lost']}"
            )


def _confirmed(history: _History) -> Iterator[int]:
    """Tokens of locks that a daemon knew whose predecessor had granted them."""
    got = {hold.token: hold.start for hold in history.holds}
    for entry in history.of_kind("kept"):
        token = entry.facts["token"]
        if any(got[token] < death.down < entry.facts["asked"] for death in history.deaths if token in got):
            yield token


def _unconfirmed_locks(history: _History) -> Iterator[str]:
    """Locks that went on over a death of the daemon, and of which no later daemon said a word."""
    kept: dict[int, float] = {}
    for entry in history.of_kind("kept"):
        kept[entry.facts["token"]] = entry.at
    away = {entry.facts["token"] for entry in history.of_kind("leaving") if entry.facts["away"]}
    for death in history.deaths:
        for hold in history.holds:
            outlasted = hold.start < death.down and hold.end > death.up and not hold.killed
            if outlasted and hold.token not in away and kept.get(hold.token, 0.0) < death.down:
                yield (
                    f"nobody knows what became of a lock: {hold.who} held token {hold.token} when the daemon died at "
                    f"{history.when(death.down)}, and no later daemon confirmed it"
                )


def _requests_gone_wrong(history: _History) -> Iterator[str]:
    for worker, entries in history.by_worker.items():
        open_request: Entry | None = None
        for entry in entries:
            if entry.what == "want":
                open_request = entry
            elif entry.what in ("got", "refused"):
                if open_request is None:
                    yield f"{worker} was answered at {history.when(entry.at)} and had asked nothing"
                    continue
                yield from _unexpected(history, open_request, entry)
                open_request = None
        if open_request is not None and worker not in history.kills:
            yield f"a request was never answered: {worker} asked at {history.when(open_request.at)}"


def _unexpected(history: _History, want: Entry, answer: Entry) -> Iterator[str]:
    expect, wait = want.facts["expect"], want.facts["wait"]
    asked = f"{want.who}, which asked at {history.when(want.at)},"
    if answer.what == "got":
        if expect == "timeout":
            yield f"{asked} was to wait out its {wait:g} s, and was granted a lock at {history.when(answer.at)}"
        return
    code, waited = answer.facts["code"], answer.at - want.at
    if expect == "either" and code == "daemon-unavailable" and _away(history, want.at, answer.at):
        return
    if code != "wait-timeout" or expect == "granted":
        yield f"{asked} was refused at {history.when(answer.at)}: {code}"
    elif waited < wait:
        yield f"{asked} was to wait {wait:g} s, and was sent away after {waited:.3f} s"
    elif expect == "timeout" and waited > wait + PROMPT:
        yield f"{asked} was to wait {wait:g} s, and was kept for {waited:.3f} s"


def _away(history: _History, start: float, end: float) -> bool:
    """Whether there was no daemon at some moment of that time."""
    return any(death.struck <= end and start <= death.up for death in history.deaths)


def _unexplained_ends(history: _History) -> Iterator[str]:
    """Workers that ended in the middle although nobody killed them, and a daemon that did."""
    for worker, entries in history.by_worker.items():
        asked = any(entry.what == "want" for entry in entries)
        if asked and worker not in history.kills and all(entry.what != "done" for entry in entries):
            yield f"{worker} went without a word after {history.when(entries[-1].at)}, and nobody killed it"
    for death in history.deaths:
        if not death.killed:
            yield f"the daemon died at {history.when(death.down)}, and nobody had killed it"
