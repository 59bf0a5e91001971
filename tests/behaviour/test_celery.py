"""A real Celery worker with prefork children and a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded, WorkerLostError

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, wait_until

from .test_locks import waiting

pytestmark = [pytest.mark.system, pytest.mark.redis]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with Valkey() as valkey:
        yield f"redis+socket://{valkey.path}"


@pytest.fixture(scope="module")
def worker(
    broker: str, shared_daemon: Daemon, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[str]]:
    """One worker with two children."""
    log = tmp_path_factory.mktemp("celery") / "worker.log"
    command = f"{sys.executable} -m celery -A tests.behaviour.celery_tasks worker --pool prefork -c 2 -l warning"
    with log.open("w") as output:
        process = processes.start(
            [*command.split(), "--without-gossip", "--without-mingle", "--without-heartbeat"],
            environment={"BROKER": broker, "GPULOCK_SOCKET": shared_daemon.socket},
            stdout=output,
            stderr=output,
            cwd=ROOT,
        )
    yield process
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # its children go with it
        process.wait(PATIENCE)
    processes.end(process)


@pytest.fixture
def celery(broker: str, worker: subprocess.Popen[str], daemon: Daemon) -> Iterator[Celery]:
    app = Celery("client", broker=broker, backend=broker)
    yield app
    app.close()


def send(celery: Celery, name: str, *args: Any, **options: Any) -> Any:
    return celery.send_task(f"tests.behaviour.celery_tasks.{name}", args, **options)


def result(celery: Celery, name: str, *args: Any) -> Any:
    return send(celery, name, *args).get(timeout=PATIENCE)


def test_a_task_runs_under_a_lock(celery: Celery) -> None:
    first = result(celery, "unbound", 3)
    assert (first["page"], first["task"]) == (3, "unbound")
    assert result(celery, "unbound", 4)["token"] > first["token"]


def test_a_bound_task_has_its_self_its_lock_and_its_gpu_in_the_environment(celery: Celery) -> None:
    answer = result(celery, "bound", 5)
    assert answer["page"] == 5
    assert answer["name"] == "tests.behaviour.celery_tasks.bound"
    assert answer["retries"] == 0
    assert answer["env"] == ",".join(answer["gpus"])
    assert answer["task"] == "bound"


def test_arguments_are_checked_where_the_task_is_sent_and_the_lock_is_none_of_them(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER", broker)
    from tests.behaviour import celery_tasks

    with closing(celery_tasks.app):
        with pytest.raises(TypeError, match="page"):
            celery_tasks.unbound.delay()
        with pytest.raises(TypeError):
            celery_tasks.bound.delay(1, 2, 3)


def test_children_take_turns(celery: Celery) -> None:
    answers = [send(celery, "unbound", page) for page in range(30)]
    results = [answer.get(timeout=PATIENCE) for answer in answers]
    assert len({answer["token"] for answer in results}) == 30
    assert len({answer["pid"] for answer in results}) == 2


def test_a_soft_time_limit_ends_the_wait_and_leaves_no_request(celery: Celery, daemon: Daemon) -> None:
    with closing(Frames(daemon.socket)) as holder, closing(Frames(daemon.socket)) as watcher:
        holder.call("acquire", gpus=3)
        watcher.call("watch")
        answer = send(celery, "impatient", soft_time_limit=1)
        waits = watcher.notified("event")
        assert (waits["kind"], waits["data"]["task"]) == ("request.queued", "impatient")
        with pytest.raises(SoftTimeLimitExceeded):
            answer.get(timeout=PATIENCE)
        wait_until(lambda: waiting(daemon) == 0, "the request is gone")
    assert result(celery, "impatient") == "granted"


def test_a_child_killed_while_it_holds_gives_the_gpu_to_the_next(
    celery: Celery, daemon: Daemon, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    answer = send(celery, "hold", 600, str(diary))
    wait_until(lambda: diary.exists() and diary.read_text().endswith("\n"), "the task holds")
    with closing(Frames(daemon.socket)) as next_in_line:
        request = next_in_line.send("acquire")
        wait_until(lambda: waiting(daemon) == 1, "somebody waits")
        os.kill(int(diary.read_text()), signal.SIGKILL)
        assert next_in_line.receive(request)["token"] > 0
    with pytest.raises(WorkerLostError):
        answer.get(timeout=PATIENCE)
    assert result(celery, "unbound", 1)["page"] == 1
