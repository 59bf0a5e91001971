"""Scenarios of the core as scripts: event, expected action, event.

    play(
        Host(gpus=1),
        acquire("anna"), granted("anna", 0),
        acquire("ben"),
        release("anna"), released("anna"), granted("ben", 0),
    )

After each event the core must ask for exactly what stands behind it up to the next event (announcements and records
aside), and all invariants must hold. Records are checked for themselves: none of what a turn tells may be missing
from what it records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gpulockd.core import events
from gpulockd.core.actions import (
    Action,
    Announce,
    Answer,
    ClaimLeases,
    Disconnect,
    Inspect,
    LockEnded,
    LockGranted,
    Notify,
    QuarantineSet,
    Record,
    Refuse,
    RenewLeases,
    RequestLeft,
    RequestWaits,
    Signal,
    Unwatch,
    Watch,
)
from gpulockd.core.invariants import check, recorded
from gpulockd.core.machine import Machine
from gpulockd.core.model import GpuIdentity, GpuProcess, LeaseHolder, Lock, Owner, Process, Request, Sample, Wish
from gpulockd.core.settings import Settings

BOOT = "boot-1"
GIB = 2**30


def uuid(index: int) -> str:
    return f"GPU-{index:08x}-0000-4000-8000-000000000000"


def identity(index: int) -> GpuIdentity:
    return GpuIdentity(uuid(index), index, f"Test GPU {index}", 16 * GIB)


@dataclass(frozen=True)
class Told:
    """One thing that the core asked for, in the words of a script."""

    what: str
    whom: str = ""
    detail: Any = None

    def __repr__(self) -> str:
        return f"{self.what}({', '.join(repr(part) for part in (self.whom, self.detail) if part not in ('', None))})"


class Host:
    """A machine with clients by name, and a clock that only a script moves."""

    def __init__(self, gpus: int = 1, *, claimed: bool = True, **settings: Any) -> None:
        self.machine = Machine(replace(Settings(host="testhost"), **settings))
        self.now = 1000.0
        self.names: dict[int, str] = {}
        self.asked: dict[tuple[str, int], str] = {}
        self.records: list[Action] = []
        self.announced: list[Announce] = []
        self.recorded_tokens: set[int] = set()
        self.recorded_requests: set[str] = set()
        self.last: list[Told] = []
        self.handle(events.GpusDiscovered(tuple(identity(index) for index in range(gpus))))
        self.handle(events.Restored((), {}, {}, 0, frozenset()))
        if claimed:
            epochs = {uuid(index): 1 for index in range(gpus)}
            self.handle(events.LeasesClaimed(self.now, epochs))

    @property
    def state(self) -> Any:
        return self.machine.state

    @property
    def waiting(self) -> list[Request]:
        """First to last."""
        return sorted(self.machine.state.requests.values(), key=lambda request: request.rank)

    def handle(self, event: events.Event) -> list[Told]:
        """Feeds one event; what it led to, in the words of a script."""
        told: list[Told] = []
        if isinstance(event, events.Restored):
            self.recorded_requests = {request.id for request in event.requests}
        actions = self.machine.handle(event, self.now)
        for action in actions:
            if isinstance(action, Record):
                self.records.append(action)
                self._record(action)
            elif isinstance(action, Announce):
                self.announced.append(action)
            else:
                told.append(self._told(action))
        check(self.machine)
        assert self.recorded_requests == recorded(self.state), "the journal has other requests than wait"
        self.last = told
        return told

    def _record(self, record: Record) -> None:
        match record:
            case LockGranted(lock):
                self.recorded_tokens.add(lock.token)
            case RequestWaits(request):
                self.recorded_requests.add(request.id)
            case RequestLeft(request_id):
                self.recorded_requests.discard(request_id)

    def session(self, name: str, uid: int = 1000, admin: bool = False) -> int:
        """The session of a client; connects it when it is first named."""
        for number, known in self.names.items():
            if known == name and number in self.state.sessions:
                return number
        return self.connect(name, uid=uid, admin=admin)

    def connect(self, name: str, *, uid: int = 1000, admin: bool = False, process: Process | None = None) -> int:
        number = len(self.names) + 1
        self.names[number] = name
        owner = Owner(process or Process(10_000 + number, number, BOOT), uid, uid, user=name, admin=admin)
        assert self.handle(events.SessionOpened(number, owner)) == []
        return number

    def process(self, name: str) -> Process:
        owner: Owner = self.state.sessions[self.session(name)].owner
        return owner.process

    def lock(self, name: str) -> Lock:
        """The lock that a client holds, or held with an earlier daemon."""
        found: list[Lock] = [lock for lock in self.state.locks.values() if lock.owner.user == name]
        assert len(found) == 1, f"{name} has {len(found)} locks"
        return found[0]

    def kinds(self) -> list[str]:
        return [announce.kind for announce in self.announced]

    def _told(self, action: Action) -> Told:
        match action:
            case Answer(session, msgid, result):
                return self._answer(self.names[session], msgid, dict(result))
            case Refuse(session, _, refusal):
                return Told("refused", self.names[session], refusal.code)
            case Notify(session, method, params):
                detail = params.get("position", params.get("reason", params.get("level")))
                return Told(method, self.names[session], detail)
            case Disconnect(session):
                return Told("disconnect", self.names[session])
            case Signal(_, process, number):
                return Told("signal", str(process.pid), number)
            case Watch(process):
                return Told("watch", str(process.pid))
            case Unwatch(process):
                return Told("unwatch", str(process.pid))
            case Inspect(gpu, _, number):
                return Told("inspect", str(self.index(gpu)), number)
            case ClaimLeases(_, gpus, floor, held):
                return claim(*map(self.index, gpus), floor=floor, held=tuple(map(self.index, held)))
            case RenewLeases():
                return Told("renew")
        raise AssertionError(f"a script has no word for {action}")

    def index(self, gpu: str) -> int:
        place: int = self.state.gpus[gpu].identity.index
        return place

    def _answer(self, name: str, msgid: int, result: dict[str, Any]) -> Told:
        del msgid
        if "env" in result:
            assert result["token"] in self.recorded_tokens, "law 2: a grant was told that no record was asked for"
            return Told(
                "nested" if result["nested"] else "granted", name, tuple(gpu["index"] for gpu in result["gpus"])
            )
        if "held_for" in result:
            return Told("released", name)
        if "reattach" in result or "locks" in result:
            return Told("welcomed", name, tuple(lock["gpus"][0]["index"] for lock in result["locks"]))
        return Told("answered", name)


Step = Callable[[Host], Any]


def play(host: Host, *script: Step | Told) -> Host:
    """Runs a script; see the module's docstring."""
    told: list[Told] = []
    for line, step in enumerate(script):
        if isinstance(step, Told):
            assert told, f"line {line}: expected {step}, and nothing (more) was asked for"
            got = told.pop(0)
            assert got == step, f"line {line}: expected {step}, got {got}, then {told}"
        else:
            assert not told, f"before line {line}: nobody expected {told}"
            told = list(step(host) or [])
    assert not told, f"at the end: nobody expected {told}"
    return host


# Events.


def acquire(
    name: str,
    gpus: int | tuple[str, ...] = 1,
    *,
    wait: float = 100.0,
    hold: float = 1000.0,
    msgid: int | None = None,
    uid: int = 1000,
    **wish: Any,
) -> Step:
    def step(host: Host) -> list[Told]:
        count, selectors = (gpus, ()) if isinstance(gpus, int) else (len(gpus), gpus)
        number = host.session(name, uid)
        wanted = Wish(count, selectors, wait_timeout=wait, max_hold=hold, **wish)
        used = host.state.sessions[number].requests
        return host.handle(events.AcquireRequested(number, msgid or max(used, default=0) + 1, wanted))

    return step


def release(name: str, lock: str | None = None) -> Step:
    return lambda host: host.handle(events.ReleaseRequested(host.session(name), 77, lock))


def cancel(name: str, msgid: int = 1) -> Step:
    return lambda host: host.handle(events.CancelRequested(host.session(name), 78, msgid))


def extends(name: str, max_hold: float) -> Step:
    return lambda host: host.handle(events.ExtendRequested(host.session(name), 80, None, max_hold))


def beats(name: str, progress: float | None = None, note: str = "") -> Step:
    return lambda host: host.handle(events.BeatReported(host.session(name), 79, None, progress, note))


def hello(name: str, key: str, reattach: str | None = None) -> Step:
    return lambda host: host.handle(events.SessionIntroduced(host.session(name), 1, "test", key, reattach))


def disconnects(name: str) -> Step:
    return lambda host: host.handle(events.SessionClosed(host.session(name)))


def dies(name: str) -> Step:
    def step(host: Host) -> list[Told]:
        number = next((n for n in reversed(host.names) if host.names[n] == name and n in host.state.sessions), None)
        process = host.state.sessions[number].owner.process if number else host.lock(name).owner.process
        return host.handle(events.ProcessExited(process))

    return step


def passes(seconds: float) -> Step:
    def step(host: Host) -> list[Told]:
        host.now += seconds
        return host.handle(events.DeadlineReached())

    return step


def clear(index: int) -> Step:
    return lambda host: host.handle(events.GpuInspected(uuid(index), ()))


def seen(index: int, *pids: int) -> Step:
    culprits = tuple(GpuProcess(pid, GIB, "anna", "python orphan.py") for pid in pids)
    return lambda host: host.handle(events.GpuInspected(uuid(index), culprits))


def unseen(index: int, fault: str | None = None) -> Step:
    return lambda host: host.handle(events.GpuInspected(uuid(index), None, fault))


def revokes(admin: str, subject: str, grace: float | None = None) -> Step:
    def step(host: Host) -> list[Told]:
        target = host.lock(subject.removeprefix("lock of ")).id if subject.startswith("lock of ") else subject
        return host.handle(events.RevokeRequested(host.session(admin, 0, True), 5, target, "for a test", grace))

    return step


def drains(admin: str, gpu: str | None) -> Step:
    return lambda host: host.handle(events.DrainRequested(host.session(admin, 0, True), 6, gpu, "cleaning"))


def undrains(admin: str, gpu: str | None) -> Step:
    return lambda host: host.handle(events.UndrainRequested(host.session(admin, 0, True), 7, gpu))


def sampled(index: int, **sample: Any) -> Step:
    return lambda host: host.handle(events.GpusSampled({uuid(index): Sample(**sample)}))


def renewed(*indexes: int, ago: float = 0.0, lost: dict[int, LeaseHolder | None] | None = None) -> Step:
    """Of these GPUs; of all that are not `lost` where none is named."""

    def step(host: Host) -> list[Told]:
        gone = {uuid(index): holder for index, holder in (lost or {}).items()}
        kept = frozenset(map(uuid, indexes)) or frozenset(host.state.gpus) - frozenset(gone)
        return host.handle(events.LeasesRenewed(host.now - ago, kept, gone))

    return step


def claimed(epoch: int, *indexes: int, refused: dict[int, LeaseHolder] | None = None, ago: float = 0.0) -> Step:
    def step(host: Host) -> list[Told]:
        epochs = {uuid(index): epoch for index in indexes}
        others = {uuid(index): holder for index, holder in (refused or {}).items()}
        return host.handle(events.LeasesClaimed(host.now - ago, epochs, others))

    return step


def claim_fails(why: str = "no answer", ago: float = 1.0) -> Step:
    return lambda host: host.handle(events.ClaimFailed(host.now - ago, why))


def renewal_fails(why: str = "no answer", ago: float = 1.0) -> Step:
    return lambda host: host.handle(events.RenewalFailed(host.now - ago, why))


def happens(event: events.Event) -> Step:
    return lambda host: host.handle(event)


def so(check_host: Callable[[Host], bool]) -> Step:
    """A statement about the host at this point of the script."""

    def step(host: Host) -> None:
        assert check_host(host)

    return step


# Expected actions.


def granted(name: str, *indexes: int) -> Told:
    return Told("granted", name, indexes)


def nested(name: str, *indexes: int) -> Told:
    return Told("nested", name, indexes)


def released(name: str) -> Told:
    return Told("released", name)


def refused(name: str, code: str) -> Told:
    return Told("refused", name, code)


def answered(name: str) -> Told:
    return Told("answered", name)


def welcomed(name: str, *indexes: int) -> Told:
    return Told("welcomed", name, indexes)


def lost(name: str, reason: str) -> Told:
    return Told("lost", name, reason)


def warned(name: str, level: str) -> Told:
    return Told("warning", name, level)


def queued(name: str, position: int) -> Told:
    return Told("queued", name, position)


def inspect(index: int, number: int | None = None) -> Told:
    return Told("inspect", str(index), number)


def signalled(pid: int, number: int) -> Told:
    return Told("signal", str(pid), number)


def disconnect(name: str) -> Told:
    return Told("disconnect", name)


def watch(pid: int) -> Told:
    return Told("watch", str(pid))


def unwatch(pid: int) -> Told:
    return Told("unwatch", str(pid))


def claim(*indexes: int, floor: int, held: tuple[int, ...] = ()) -> Told:
    return Told("claim", "", (indexes, floor, held))


RENEW = Told("renew")


def ended(host: Host) -> list[tuple[str, str]]:
    """How each lock ended, in order: owner and how."""
    return [(action.lock.owner.user, action.how) for action in host.records if isinstance(action, LockEnded)]


def quarantines(host: Host) -> list[tuple[str, bool]]:
    """Every change of a quarantine that was recorded: GPU, and whether it began."""
    return [(act.gpu, act.quarantine is not None) for act in host.records if isinstance(act, QuarantineSet)]
