"""One change after the other: recorded before it acts, and whatever fails changes nothing."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from gpulock.errors import (
    BadConfiguration,
    ConfigurationRefused,
    ConfigurationUnwritable,
    InvalidRequest,
    RestartNeeded,
)
from gpulockd.changes import Changing
from gpulockd.changes.entries import Entry
from gpulockd.changes.files import Unwritable, replace_configuration
from gpulockd.changes.versions import Versions
from gpulockd.clock import BootClock
from gpulockd.config import Config, load
from gpulockd.core.actions import Announce
from gpulockd.ports import Author

ANNA, BERT, ROOT = Author("anna", 1001, 1), Author("bert", 1002, 2), Author("root", 0, 3)
ONE = b"# what anna wants\ngpu_lock: {max_wait_time: 1m}\n"
REPLACE = "gpulockd.changes.changing.replace_configuration"
TWO = b"gpu_lock: {max_wait_time: 2m}  # bert\n"


class Host:
    """A configuration file and what a daemon would have of it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "config.yml"
        self.state = directory / "state"
        self.state.mkdir(exist_ok=True)
        if not self.file.exists():
            self.file.write_bytes(b"{}\n")
        self.taken: list[Config] = []
        self.announced: list[Announce] = []
        loaded = load(self.file, {})
        self.changing = Changing(loaded, self.state, BootClock(), self.taken.append, self.announced.append)
        self.changing.begin()

    @property
    def story(self) -> list[tuple[Any, ...]]:
        """From the first on: version, how, outcome."""
        entries, _ = Versions(self.state).page(100)
        return [(each.version, each.how, each.outcome) for each in reversed(entries)]

    async def latest(self) -> Any:
        entries: Any = (await self.changing.history(1))["entries"]
        return entries[0]

    @property
    def wait(self) -> float:
        """What is in force."""
        assert not self.taken or self.taken[-1] == self.changing.running.config
        return self.changing.running.config.gpu_lock.max_wait_time


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_a_reload_takes_over_what_the_file_holds(host: Host) -> None:
    host.file.write_bytes(ONE)
    asked = await host.changing.reload(ANNA, "shorter", dry_run=True)
    assert (asked["outcome"], host.wait, host.taken) == ("dry-run", 1800, [])
    answer = await host.changing.reload(ANNA, "shorter")
    change = {"key": "gpu_lock.max_wait_time", "before": 1800, "after": 60, "restart": False}
    assert answer == {**asked, "outcome": "applied", "version": 2}
    assert answer["changes"] == [change]
    assert host.wait == 60
    assert (await host.changing.reload(BERT))["outcome"] == "unchanged"
    assert host.story == [(1, "start", "applied"), (2, "reload", "applied")]
    entry = await host.latest()
    assert (entry["user"], entry["uid"], entry["pid"], entry["reason"]) == ("anna", 1001, 1, "shorter")
    assert host.announced[-1].kind == "config.reloaded"


async def test_a_bad_file_changes_nothing_and_says_where(host: Host) -> None:
    host.file.write_bytes(b"gpu_lock:\n  max_wait_tim: 1m\n")
    with pytest.raises(BadConfiguration, match=r"config\.yml:2:3: .*unknown key") as caught:
        await host.changing.reload(ANNA)
    (problem,) = caught.value.data["problems"]
    assert (problem["line"], problem["column"]) == (2, 3)
    assert (host.wait, host.taken) == (1800, [])
    assert host.story[-1] == (None, "reload", "refused")
    assert host.announced[-1].kind == "config.reload-failed"


async def test_a_file_that_is_gone(host: Host) -> None:
    host.file.unlink()
    with pytest.raises(BadConfiguration, match="no such file"):
        await host.changing.reload(ANNA)
    assert host.wait == 1800
    assert host.story[-1] == (None, "reload", "refused")


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (lambda file: file.write_bytes(ONE + TWO), "was written while it was read"),
        (lambda file: file.unlink(), "was removed or replaced while it was read"),
        (lambda file: file.with_name("new").replace(file), "was removed or replaced while it was read"),
    ],
    ids=["written", "removed", "replaced"],
)
async def test_a_file_to_which_something_happens_while_it_is_read(
    host: Host, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Path], object], says: str
) -> None:
    """Between its beginning and its end. A whole file that has no name any more is not what the host is to have."""
    host.file.write_bytes(ONE)
    host.file.with_name("new").write_bytes(TWO)
    reading = type(host.file).open

    def interrupted(path: Path, *how: Any, **more: Any) -> Any:
        file = reading(path, *how, **more)
        if path == host.file and how == ("rb",):
            read = file.read

            class Slow:
                def __enter__(self) -> Self:
                    return self

                def __exit__(self, *_: object) -> None:
                    file.close()

                def fileno(self) -> int:
                    return int(file.fileno())

                def read(self, most: int) -> Any:
                    happens(host.file)
                    return read(most)

            return Slow()
        return file

    with monkeypatch.context() as patched:
        patched.setattr(type(host.file), "open", interrupted)
        with pytest.raises(BadConfiguration, match=says):
            await host.changing.reload(ANNA)
    assert (host.wait, host.taken) == (1800, [])
    assert host.story == [(1, "start", "applied"), (None, "reload", "refused")]


async def test_apply_puts_the_bytes_in_place_comments_and_all(host: Host) -> None:
    host.file.chmod(0o644)
    await host.changing.apply(ONE, ANNA, "a try")
    assert (host.file.read_bytes(), host.wait) == (ONE, 60)
    assert host.file.stat().st_mode & 0o777 == 0o644
    assert (await host.changing.version(2))["content"] == ONE.decode()
    assert (await host.changing.version(None))["version"] == 2
    assert (await host.changing.apply(ONE, BERT))["outcome"] == "unchanged"


RESTART = b"gpu_lock: {max_wait_time: 1m}\nredis:\n  ttl: 20\n"


@pytest.mark.parametrize("how", ["reload", "apply", "rollback"])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_needs_a_restart_is_refused_as_a_whole(host: Host, how: str, dry_run: bool) -> None:
    await host.changing.apply(ONE, ANNA)
    before = host.story
    if how == "reload":
        host.file.write_bytes(RESTART)
        change = host.changing.reload(ANNA, dry_run=dry_run)
    elif how == "apply":
        change = host.changing.apply(RESTART, ANNA, dry_run=dry_run)
    else:
        Versions(host.state).keep(Entry(0.0, "apply", "applied", ANNA), RESTART)
        host.changing._versions = Versions(host.state)
        before = host.story
        change = host.changing.rollback(3, ANNA, dry_run=dry_run)
    with pytest.raises(RestartNeeded) as caught:
        await change
    place = f"{host.file}:3:8: redis.ttl: 15 is in force, and 20 needs a restart"
    assert caught.value.message == f"{place}: the leases are held for it"
    assert "systemctl restart gpulockd, which keeps every lock" in (caught.value.hint or "")
    assert (f"`gpulockctl config cat 3` prints into {host.file}" in (caught.value.hint or "")) == (how == "rollback")
    (problem,) = caught.value.data["problems"]
    assert (problem["line"], problem["column"], problem["key"]) == (3, 8, "redis.ttl")
    assert [(each["key"], each["restart"]) for each in caught.value.data["changes"]] == [("redis.ttl", True)]
    assert (host.wait, len(host.taken), host.changing.running.content) == (60, 1, ONE)
    assert host.file.read_bytes() == (RESTART if how == "reload" else ONE)
    assert host.story == (before if dry_run else [*before, (None, how, "refused")])
    if not dry_run:
        assert host.announced[-1].kind == ("config.reload-failed" if how == "reload" else "config.refused")
        assert place in host.announced[-1].message
        assert place in (await host.latest())["why"]


async def test_whoever_starts_anew_runs_what_was_refused(host: Host, tmp_path: Path) -> None:
    host.file.write_bytes(RESTART)
    assert (await host.changing.in_force())["edited"]
    with pytest.raises(RestartNeeded):
        await host.changing.reload(ANNA, "a slower Redis")
    after = Host(tmp_path)
    assert (after.wait, after.changing.running.config.redis.ttl) == (60, 20)
    assert not (await after.changing.in_force())["edited"]
    assert after.story == [(1, "start", "applied"), (None, "reload", "refused"), (2, "start", "applied")]
    assert [each["key"] for each in (await after.latest())["changes"]] == ["gpu_lock.max_wait_time", "redis.ttl"]


async def test_what_is_in_force_and_whether_the_file_says_so(host: Host) -> None:
    told: Any = await host.changing.in_force()
    assert (told["file"], told["edited"]) == (str(host.file), False)
    host.file.write_bytes(TWO)
    assert (await host.changing.in_force())["edited"]
    await host.changing.reload(ANNA)
    told = await host.changing.in_force()
    assert not told["edited"]
    waits = [each for each in told["settings"] if each["key"] == "gpu_lock.max_wait_time"]
    assert waits == [{"key": "gpu_lock.max_wait_time", "value": 120, "source": f"{host.file}:1:27"}]
    host.file.unlink()
    assert (await host.changing.in_force())["edited"]


async def test_a_rollback_of_a_rollback_ends_where_it_began(host: Host) -> None:
    await host.changing.apply(ONE, ANNA)
    await host.changing.apply(TWO, BERT)
    for expected, content in ((60, ONE), (120, TWO), (60, ONE)):
        await host.changing.rollback(None, ANNA)
        assert (host.wait, host.file.read_bytes()) == (expected, content)
    await host.changing.rollback(1, ANNA, "as it was")
    assert (host.wait, host.file.read_bytes()) == (1800, b"{}\n")
    assert host.story[-4:] == [(number, "rollback", "applied") for number in (4, 5, 6, 7)]
    entry = await host.latest()
    assert entry["reason"] == "back to version 1: as it was"


async def test_there_is_nothing_to_roll_back_to_at_first(host: Host) -> None:
    with pytest.raises(InvalidRequest, match="no earlier version"):
        await host.changing.rollback(None, ANNA)
    with pytest.raises(InvalidRequest, match=r"version 7 .* is not kept"):
        await host.changing.rollback(7, ANNA)


async def test_two_who_apply_at_once_are_one_after_the_other(host: Host) -> None:
    await asyncio.gather(host.changing.apply(ONE, ANNA), host.changing.apply(TWO, BERT))
    assert host.story == [(1, "start", "applied"), (2, "apply", "applied"), (3, "apply", "applied")]
    last: Any = (await host.changing.version(None))["content"]
    assert host.file.read_bytes() == last.encode()
    assert host.wait == (60 if last.encode() == ONE else 120)


async def test_who_leaves_in_the_middle_does_not_leave_half_a_change(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def slowly(path: Path, content: bytes) -> None:
        writing.set()
        assert go_on.wait(10)
        replace_configuration(path, content)

    monkeypatch.setattr(REPLACE, slowly)
    asked = asyncio.create_task(host.changing.apply(ONE, ANNA))
    await asyncio.to_thread(writing.wait, 10)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    go_on.set()
    await host.changing.apply(TWO, BERT)  # waits for its turn
    assert host.story[1:] == [(2, "apply", "applied"), (3, "apply", "applied")]


async def test_what_somebody_edited_is_kept_before_it_is_overwritten(host: Host) -> None:
    host.file.write_bytes(b"edited: by hand\n")
    await host.changing.apply(ONE, ANNA)
    assert host.story[1:] == [(2, "found", "set-aside"), (3, "apply", "applied")]
    assert (await host.changing.version(2))["content"] == "edited: by hand\n"
    await host.changing.rollback(None, ANNA)
    assert host.file.read_bytes() == b"{}\n"  # not to what was never in force


async def test_a_file_that_cannot_be_written_is_not_applied(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, _: bytes) -> None:
        raise Unwritable(f"{path} is not ours", "be root")

    monkeypatch.setattr(REPLACE, refused)
    with pytest.raises(ConfigurationUnwritable, match="not ours") as caught:
        await host.changing.apply(ONE, ANNA)
    assert (caught.value.hint, caught.value.data["file"]) == ("be root", str(host.file))
    with pytest.raises(ConfigurationUnwritable) as caught:
        host.file.write_bytes(TWO)
        await host.changing.rollback(1, ANNA)
    assert caught.value.data["version"] == 1
    assert (host.wait, host.taken) == (1800, [])
    assert (2, "apply", "refused") in host.story


def unwritable(path: Path, _: bytes) -> None:
    raise Unwritable(f"{path} is not ours", "be root")


async def test_what_root_writes_in_the_daemons_place_is_the_change_that_was_asked_for(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(REPLACE, unwritable)
    for content, ask in ((ONE, host.changing.apply(ONE, ROOT, "a try")), (b"{}\n", host.changing.rollback(1, ROOT))):
        with pytest.raises(ConfigurationUnwritable):
            await ask
        assert (await host.changing.version(None))["content"] == (host.changing.running.content or b"").decode()
        host.file.write_bytes(content)
        assert (await host.changing.reload(ROOT, "whatever"))["outcome"] == "applied"
    assert host.wait == 1800
    assert host.story == [(1, "start", "applied"), (2, "apply", "applied"), (3, "rollback", "applied")]
    assert [each["reason"] for each in (await host.changing.history(2))["entries"]] == ["back to version 1", "a try"]  # type: ignore[attr-defined]


async def test_what_root_was_to_write_and_did_not(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(REPLACE, unwritable)
        for _ in range(2):
            with pytest.raises(ConfigurationUnwritable):
                await host.changing.apply(ONE, ROOT)
    assert host.story == [(1, "start", "applied"), (2, "apply", "refused"), (3, "apply", "begun")]
    await host.changing.apply(TWO, BERT)
    assert host.story[2:] == [(3, "apply", "refused"), (4, "apply", "applied")]
    assert host.wait == 120


async def test_a_full_disk_changes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gpulockd.changes.lines._write", full)
    monkeypatch.setattr("gpulockd.changes.versions.write", full)
    host.file.write_bytes(ONE)
    for change in (host.changing.reload(ANNA), host.changing.apply(TWO, ANNA)):
        with pytest.raises(ConfigurationUnwritable, match="No space left"):
            await change
    assert (host.wait, host.file.read_bytes()) == (1800, ONE)


async def test_a_daemon_starts_on_a_full_disk_and_notes_it_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", full)
        (tmp_path / "config.yml").write_bytes(ONE)
        loaded = load(tmp_path / "config.yml", {})
        changing = Changing(loaded, tmp_path, BootClock(), lambda _: None, lambda _: None)
        changing.begin()
        assert (await changing.history(5))["entries"] == []
    await changing.apply(TWO, ANNA)
    entries: Any = (await changing.history(5))["entries"]
    assert [(each["version"], each["how"]) for each in entries] == [(2, "apply"), (1, "start")]
    assert (await changing.version(1))["content"] == ONE.decode()


async def test_a_history_that_cannot_be_read_says_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    await host.changing.apply(ONE, ANNA)

    def faulty(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", faulty)
    for question in (host.changing.history(5), host.changing.version(1), host.changing.rollback(None, ANNA)):
        with pytest.raises(ConfigurationRefused, match="Input/output error"):
            await question
    assert host.wait == 60


# What the next daemon makes of it.


async def test_the_next_daemon_notes_only_what_changed_meanwhile(host: Host, tmp_path: Path) -> None:
    await host.changing.apply(ONE, ANNA)
    assert Host(tmp_path).story == host.story
    before = host.story
    host.file.write_bytes(TWO)
    after = Host(tmp_path)
    assert after.story == [*before, (3, "start", "applied")]
    entry = await after.latest()
    assert [(each["before"], each["after"]) for each in entry["changes"]] == [(60, 120)]


@pytest.mark.parametrize("written", [False, True])
async def test_a_daemon_that_was_killed_in_the_middle(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    def killed(path: Path, content: bytes) -> None:
        if written:
            replace_configuration(path, content)
        raise KeyboardInterrupt

    monkeypatch.setattr(REPLACE, killed)
    with pytest.raises(BaseException):  # noqa: B017  # whatever comes out of a thread that was struck down
        await host.changing._replace("apply", ONE, ANNA, "", dry_run=False)
    assert host.story[-1] == (2, "apply", "begun")
    after = Host(tmp_path)
    assert after.wait == (60 if written else 1800)
    if written:
        assert after.story == [(1, "start", "applied"), (2, "apply", "applied")]
    else:
        assert after.story == [(1, "start", "applied"), (2, "apply", "refused")]
