"""`gpulockd` as systemd and people run it: arguments, exit codes, readiness, signs of life."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.waiting import wait_until

HOLD = "import gpulock, sys; lock = gpulock.acquire(socket=sys.argv[1]); print(lock.id, flush=True); input()"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpulockd", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_driver_it_refuses_to_start_and_says_both_ways_out(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, simulate=None)
    done = run(**daemon.environment, LD_LIBRARY_PATH="")
    if "libnvidia-ml" not in done.stderr and done.returncode == 0:
        pytest.skip("this machine has an NVIDIA driver")
    assert done.returncode == 69
    assert "--simulate N" in done.stderr
    assert "driver" in done.stderr


def test_a_bad_configuration_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text("gpu_lock:\n  poll_intervall: 2\n")
    done = run("--config", str(file), "--check")
    assert done.returncode == 78
    assert "config.yml:2:3" in done.stderr
    assert "poll_interval" in done.stderr


def test_wrong_arguments_are_a_usage_error() -> None:
    assert run("--simulate", "many").returncode == 2
    assert run("--nonsense").returncode == 2
    assert run("--simul", "2").returncode == 2


def test_check_says_what_is_well_and_what_is_not(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, simulate=2)
    done = run("--simulate", "2", "--check", **daemon.environment)
    assert done.returncode == 0, done.stdout
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "ok    configuration",
        "ok    state directory",
        "ok    GPUs",
        "ok    leases",
    ]
    unreachable = {**daemon.environment, "GPULOCKD__REDIS__URL": f"unix://{tmp_path}/nothing.sock"}
    done = run("--simulate", "2", "--check", **unreachable)
    assert done.returncode == 69
    assert "FAIL  leases" in done.stdout


def test_check_does_not_mind_a_running_daemon(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1) as daemon:
        done = run("--simulate", "1", "--check", **daemon.environment)
        assert done.returncode == 0, done.stdout
        assert f"pid {daemon.pid}" in done.stdout


def test_a_second_daemon_on_the_same_state_directory_is_refused_with_the_firsts_pid(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1) as daemon:
        elsewhere = {**daemon.environment, "GPULOCKD__DAEMON__SOCKET": str(tmp_path / "other.sock")}
        done = run("--simulate", "1", **elsewhere)
        assert done.returncode == 69
        assert f"pid {daemon.pid}" in done.stderr
        assert daemon.status()["daemon"]["pid"] == daemon.pid


def test_simulated_gpus_are_called_so_in_every_status(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=3) as daemon:
        status = daemon.status()
        assert status["daemon"]["simulated"] is True
        assert len(status["gpus"]) == 3
        assert all("Simulated" in gpu["name"] for gpu in status["gpus"])


def test_it_tells_systemd_that_it_is_ready_and_alive_and_stopping(tmp_path: Path) -> None:
    address = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(20)
        daemon = Daemon(tmp_path, simulate=1)
        environment = {**os.environ, **daemon.environment, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [sys.executable, "-m", "gpulockd", "--simulate", "1"], env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            heard = [systemd.recv(4096).decode() for _ in range(4)]
            assert heard[0].startswith("READY=1\nSTATUS=1 simulated GPUs")
            assert heard[1:] == ["WATCHDOG=1"] * 3

            os.kill(process.pid, signal.SIGSTOP)  # a daemon that is stuck gives no sign
            systemd.settimeout(1)
            with pytest.raises(TimeoutError):
                while True:
                    systemd.recv(4096)
            os.kill(process.pid, signal.SIGCONT)
            systemd.settimeout(20)
            assert systemd.recv(4096) == b"WATCHDOG=1"

            process.terminate()
            heard = []
            while "STOPPING=1" not in heard:
                heard.append(systemd.recv(4096).decode())
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.communicate()


def test_a_stop_keeps_locks_for_their_owners_and_a_start_finds_them(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1) as daemon:
        client = Frames(daemon.socket)
        key = client.call("hello")["reattach"]
        lock = client.call("acquire")
        assert daemon.stop() == 0
        assert "SIGTERM: stopping" in daemon.output()
        daemon.start()
        again = Frames(daemon.socket)
        answer = again.call("hello", reattach=key)
        assert [(held["lock"], held["token"]) for held in answer["locks"]] == [(lock["lock"], lock["token"])]
        again.call("release")
        wait_until(lambda: daemon.status()["gpus"][0]["state"] == "free", "the GPU is free again")
        client.close()
        again.close()


def test_the_lock_of_a_process_that_died_while_no_daemon_ran_is_released(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=1) as daemon:
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                HOLD,
                daemon.socket,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        daemon.kill()
        holder.kill()
        holder.communicate()
        daemon.start()
        wait_until(lambda: daemon.status()["gpus"][0]["state"] == "free", "the dead owner's lock is released")
        ended = daemon.call("history", limit=1)["locks"]
        assert ended[0]["how"] == "died"


def test_tokens_grow_through_restarts(tmp_path: Path) -> None:
    tokens = []
    with Daemon(tmp_path, simulate=1) as daemon:
        for _ in range(3):
            with Frames(daemon.socket) as client:
                tokens.append(client.call("acquire")["token"])
                client.call("release")
            daemon.restart()
    assert tokens == sorted(set(tokens))
    assert len({token >> 32 for token in tokens}) == 3


def test_version_is_told() -> None:
    done = run("--version")
    assert done.stdout == f"gpulockd {version('gpulockd')}\n"


def test_without_redis_the_fleet_is_this_host(tmp_path: Path) -> None:
    with Daemon(tmp_path, simulate=2, settings={"daemon.host": "alone"}) as daemon:
        (host,) = daemon.call("status", fleet=True)["fleet"]
        assert (host["host"], host["pid"], host["age"], len(host["gpus"])) == ("alone", daemon.pid, 0.0, 2)
