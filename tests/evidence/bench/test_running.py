"""The benchmark as it runs: real workers, a real daemon, a real Redis; and nothing of them is left, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpulockd.ctl.__main__ import main
from gpulockd.evidence.bench import processes as bench_processes, programs, servers
from gpulockd.evidence.bench.crew import Crew, OutOfTime, WorkerFailed
from gpulockd.evidence.bench.processes import ServerFailed
from gpulockd.evidence.bench.tasks import Task
from tests.support import processes
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until

SMALL = ("--workers", "3", "--tasks", "1", "--rounds", "1", "--time-scale", "0.01", "--duration", "100s")
WORKER = "gpulockd.evidence.bench.worker"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return processes.start(
        [sys.executable, "-m", "gpulockd.ctl", "bench", *arguments], environment={"TMPDIR": str(place)}
    )


def finished(place: Path, *arguments: str) -> tuple[int, str, str]:
    bench = start(place, *arguments)
    try:
        out, err = bench.communicate(timeout=100)
    finally:
        processes.end(bench)
    return bench.returncode, out, err


def started_by(bench: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that it has started, once its workers are among them."""

    def family() -> list[psutil.Process]:
        return psutil.Process(bench.pid).children(recursive=True)

    def has_workers() -> bool:
        try:
            return any(WORKER in each.cmdline() for each in family())
        except psutil.NoSuchProcess:
            return False

    wait_until(has_workers, "workers are at work", within=60)
    return family()


def ended(family: Sequence[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family)


@pytest.mark.system
@pytest.mark.redis
def test_polling_and_the_daemon_do_the_same_tasks_with_a_redis_that_others_use(place: Path) -> None:
    with Valkey() as redis, redis.client() as client:
        client.set("somebody's", "own")
        both = ("--variant", "poll-0.5", "--variant", "push", "--redis", redis.url)
        code, out, err = finished(place, "--json", *SMALL, *both)
        assert code == 1, err
        found = json.loads(out)
        assert client.keys() == [b"somebody's"]
    polling, daemon = found["figures"]["poll-0.5"], found["figures"]["push"]
    assert (polling["tasks"], daemon["tasks"]) == (3, 3)
    assert polling["success"][0] == daemon["success"][0] == 1.0
    assert polling["requests"][0] > 0
    assert polling["total"][0] > polling["wait"][0]
    assert [each["verdict"] for each in found["variants"]] == ["baseline", "not passed"]  # one round proves nothing
    assert list(place.iterdir()) == []


@pytest.mark.system
def test_a_command_of_the_users_runs_under_the_lock(place: Path) -> None:
    tried = ["--workers", "2", "--tasks", "1", "--rounds", "1", "--variant", "push", "--json"]
    notes = f"""sh -c 'echo "$GPULOCK_LOCK $CUDA_VISIBLE_DEVICES" >> {place}/notes'"""
    code, out, err = finished(place, *tried, "--command", notes)
    assert code == 0, err
    assert json.loads(out)["figures"]["push"]["success"][0] == 1.0
    alone, *locked = (place / "notes").read_text().splitlines()
    assert (alone, len(locked)) == (" ", 2)
    assert all(re.fullmatch(r"L\d+-\d+ \S+", each) for each in locked)
    code, _, err = finished(place, *tried, "--command", "sh -c 'exit 3'")
    assert (code, "sh ended with 3 when it was tried alone" in err) == (69, True)


@pytest.mark.system
@pytest.mark.redis
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_it_when_it_is_ended(place: Path, how: signal.Signals) -> None:
    with Valkey() as redis, redis.client() as client:
        way = "push" if how == signal.SIGINT else "poll-2"
        bench = start(place, "--variant", way, "--scenario", "long", "--redis", redis.url)
        try:
            family = started_by(bench)
            bench.send_signal(how)
            bench.wait(30)
            wait_until(lambda: ended(family), lambda: f"all of {family} have ended")
        finally:
            processes.end(bench)
        if how != signal.SIGKILL:
            assert bench.returncode == 128 + how
            assert list(place.iterdir()) == []
            assert client.keys() == []


@pytest.mark.system
def test_without_redis_polling_is_left_out_aloud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    monkeypatch.setattr(programs, "find_redis", lambda: None)
    report = place / "report.md"
    assert main(["bench", *SMALL, "--output", str(report)]) == 0
    _, err = capsys.readouterr()
    for name in ("poll-2", "poll-1", "poll-0.5"):
        assert f"{name} is left out: it polls a Redis, and there is none" in err
        assert name in report.read_text()
    assert main(["bench", *SMALL, "--variant", "poll-2"]) == 2
    assert "nothing can be measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--variant", "pull"], "no variant that is known"),
        (["--baseline", "nobody"], "no variant 'nobody'"),
        (["--duration", "forever"], "to end"),
        (["--command", "echo 'open"], "No closing quotation"),
        (["--mix", "brief=1"], "no kind of task"),
        (["--command", "true", "--time-scale", "0.1"], "cannot shorten a command"),
        (["--load", "2"], "not a number from 0.001 to 1"),
        (["--mix", "short=1", "--scenario", "long"], "not allowed with"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_starts(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["bench", *arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    assert (code, why in capsys.readouterr().err) == (2, True)


@pytest.mark.system
def test_what_the_daemon_refuses_it_says_itself(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *SMALL, "--variant", "odd=redis.ttl=1"]) == 69
    assert "redis.ttl: must be" in capsys.readouterr().err


@pytest.mark.system
def test_a_run_that_is_too_short_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--variant", "push", "--duration", "1s"]) == 69
    assert "1 s are too short for 3 rounds" in capsys.readouterr().err


@pytest.mark.redis
def test_redis_is_measured_without_its_measuring() -> None:
    with Valkey() as server:
        redis = servers.Redis(server.url, "ours", shared=True)
        loads: list[Any] = []
        with redis.measured(loads):
            pass
        with redis.measured(loads), server.client() as client:
            for _ in range(10):
                client.incr("x")
            client.eval("redis.call('get', 'x') redis.call('get', 'x')", 0)
        redis.close()
    assert loads[0].requests <= 1
    assert loads[0].commands == 0
    coming_and_going = loads[1].requests - 11  # a client says what it is when it connects
    assert 0 <= coming_and_going <= 8
    assert loads[1].commands >= 13  # what a script calls is counted one by one
    assert loads[1].cpu > 0


@pytest.mark.redis
def test_a_redis_that_goes_away_is_told_of() -> None:
    with Valkey() as server:
        redis = servers.Redis(server.url, "ours", shared=True)
        server.kill()
        with pytest.raises(ServerFailed, match="Redis does not answer"):
            redis.idle_cpu(0)
        with pytest.raises(ServerFailed, match="Redis does not answer"):
            redis.clear()
        redis.close()
    with pytest.raises(ServerFailed, match="no Redis URL"):
        servers.Redis("htp://nowhere", "ours", shared=True)


def polling(place: Path, url: str) -> dict[str, Any]:
    """The order of workers that try often and give up soon."""
    settings = {
        "gpu_lock.poll_interval": 0.01,
        "gpu_lock.max_poll_interval": 0.02,
        "gpu_lock.exponential_backoff": True,
        "gpu_lock.max_wait_time": 0.3,
        "gpu_lock.lock_timeout": 60,
    }
    return {"way": "polling", "redis": url, "keys": ["lock"], "settings": settings, "command": []}


def two_tasks(hold: float) -> list[list[Task]]:
    return [[Task("short", 0.0, hold)], [Task("short", 0.0, hold)]]


@pytest.mark.system
@pytest.mark.redis
def test_who_waits_for_too_long_gives_up_and_nobody_outlives_the_crew(place: Path) -> None:
    with Valkey() as redis:
        with Crew(2, place / "log") as crew:
            crew.prepare(two_tasks(2.0), polling(place, redis.url))
            took, outcomes = crew.run(time.monotonic() + 30, lambda: None)
            assert sorted(each.how for each in outcomes) == ["done", "timeout"]
            assert took >= 2.0
            waited = next(each.waited for each in outcomes if each.how == "timeout")
            assert 0.3 <= waited < 2.0
            crew.prepare(two_tasks(60.0), polling(place, redis.url))
            with pytest.raises(OutOfTime):
                crew.run(time.monotonic() + 0.2, lambda: None)
        assert all(worker.returncode is not None for worker in crew._workers)


@pytest.mark.system
def test_a_worker_that_cannot_begin_says_why(place: Path) -> None:
    with Crew(2, place / "log") as crew, pytest.raises(WorkerFailed, match="ConnectionError"):
        crew.prepare(two_tasks(1.0), polling(place, f"unix://{place}/nobody"))


def test_ctrl_c_while_a_process_is_made_is_heard_and_the_process_has_ended(place: Path) -> None:
    """Python loses an exception that a signal raises in what it calls at a fork."""
    in_time = [True]

    def interrupt() -> None:
        if in_time:
            in_time.clear()
            signal.raise_signal(signal.SIGINT)

    os.register_at_fork(after_in_parent=interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench_processes.start(["sleep", "60"], place / "log")
    assert not [each for each in psutil.Process().children() if each.cmdline() == ["sleep", "60"]]
