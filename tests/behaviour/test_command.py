"""`gpulock -- CMD`: real commands, real signals, a real daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.daemon import Daemon
from tests.support.frames import Frames
from tests.support.waiting import PATIENCE, wait_until

from .test_locks import waiting
from .test_processes import said

pytestmark = pytest.mark.system

GPULOCK = [sys.executable, "-m", "gpulock"]
Run = Callable[..., "subprocess.Popen[str]"]


def runner(daemon: Daemon, programs: ExitStack) -> Run:
    def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
        process = processes.start(
            [*GPULOCK, *arguments],
            environment={"GPULOCK_SOCKET": daemon.socket},
            **options,  # type: ignore[arg-type]
        )
        programs.callback(processes.end, process)
        return process

    return start


@pytest.fixture
def gpulock(daemon: Daemon) -> Iterator[Run]:
    """Starts `gpulock` with these arguments."""
    with ExitStack() as programs:
        yield runner(daemon, programs)


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit status, output and errors, at its end."""
    output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


def locks(daemon: Daemon) -> list[str]:
    return [lock["id"] for lock in daemon.status()["locks"]]


@pytest.fixture
def taken(daemon: Daemon) -> Iterator[Frames]:
    """Somebody has every GPU."""
    with closing(Frames(daemon.socket)) as holder:
        holder.call("acquire", gpus=3, task="training")
        yield holder


class TestExitStatus:
    @pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
    def test_is_the_commands_own(self, gpulock: Run, script: str, status: int) -> None:
        assert outcome(gpulock("--", "sh", "-c", script)) == (status, "", "")

    def test_127_for_a_command_that_is_not_there(self, gpulock: Run) -> None:
        status, _, errors = outcome(gpulock("--", "no-such-command"))
        assert (status, errors) == (127, "gpulock: no-such-command: command not found\n")

    def test_126_for_one_that_cannot_be_run(self, gpulock: Run, tmp_path: Path) -> None:
        script = tmp_path / "script"
        script.write_text("no program")
        status, _, errors = outcome(gpulock("--", str(script)))
        assert (status, errors) == (126, f"gpulock: {script}: it is not executable\n")
        script.chmod(0o755)
        status, _, errors = outcome(gpulock("--", str(script)))
        assert (status, errors) == (126, f"gpulock: {script}: Exec format error\n")

    def test_2_for_usage(self, gpulock: Run) -> None:
        status, _, errors = outcome(gpulock("--bogus", "--", "true"))
        assert status == 2
        assert errors.startswith("gpulock: unknown option --bogus\nusage: gpulock [-n]")

    def test_2_for_gpus_that_there_are_not(self, gpulock: Run) -> None:
        status, _, errors = outcome(gpulock("--gpu", "9", "--", "true"))
        assert status == 2
        assert "'9' names no GPU of this host" in errors

    def test_69_without_a_daemon(self, gpulock: Run) -> None:
        status, _, errors = outcome(gpulock("-n", "--socket", "/tmp/none.sock", "--", "true"))
        assert status == 69
        assert "/tmp/none.sock" in errors
        assert "gpulockctl doctor" in errors

    def test_75_when_it_is_taken_and_nobody_waits(self, gpulock: Run, taken: Frames) -> None:
        status, _, errors = outcome(gpulock("-n", "--", "true"))
        assert status == 75
        assert f"(pid {os.getpid()}) for training" in errors
        assert "gpulockctl status" in errors

    def test_124_when_the_wait_is_over(self, gpulock: Run, taken: Frames, daemon: Daemon) -> None:
        status, _, errors = outcome(gpulock("-w", "0.2", "--", "true"))
        assert status == 124
        assert "gpulockctl queue" in errors
        assert waiting(daemon) == 0

    def test_another_for_both_where_one_is_given(self, gpulock: Run, taken: Frames) -> None:
        assert outcome(gpulock("-n", "-E", "5", "--", "true"))[0] == 5
        assert outcome(gpulock("-w", "0.1", "-E", "6", "--", "true"))[0] == 6

    def test_help_and_version(self, gpulock: Run) -> None:
        status, output, errors = outcome(gpulock("--help"))
        assert (status, errors) == (0, "")
        assert "CUDA_VISIBLE_DEVICES" in output
        assert outcome(gpulock("--version"))[1].startswith("gpulock 0.")


class TestTheCommand:
    def test_finds_its_gpus_in_the_environment(self, gpulock: Run, daemon: Daemon) -> None:
        status, output, _ = outcome(gpulock("-g", "2", "--task", "ocr", "--", "env"))
        variables = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        assert status == 0
        assert len(variables["CUDA_VISIBLE_DEVICES"].split(",")) == 2
        assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert int(variables["GPULOCK_TOKEN"]) > 0
        assert variables["GPULOCK_SOCKET"] == daemon.socket

    def test_has_the_lock_while_it_runs(self, gpulock: Run, daemon: Daemon) -> None:
        process = gpulock(
            "--gpu", "1", "--task", "ocr", "--max-hold", "10m", "--", "sh", "-c", "echo in; cat", stdin=-1
        )
        assert said(process) == "in"
        [lock] = daemon.status()["locks"]
        assert (lock["task"], lock["owner"]["pid"]) == ("ocr", process.pid)
        assert lock["gpus"] == [daemon.status()["gpus"][1]["uuid"]]
        assert lock["time_left"] == pytest.approx(600, abs=10)
        outcome(process)
        assert locks(daemon) == []

    def test_reads_and_writes_as_without_it(self, gpulock: Run) -> None:
        process = gpulock("--", "tr", "a-z", "A-Z", stdin=subprocess.PIPE)
        output, errors = process.communicate("hello", timeout=30)
        assert (output, errors) == ("HELLO", "")

    def test_inherits_no_connection_and_no_signal_settings(self, gpulock: Run) -> None:
        script = "ls -l /proc/self/fd | grep -c socket; grep -E 'Sig(Ign|Blk)' /proc/self/status"
        _, output, _ = outcome(gpulock("--", "sh", "-c", script))
        plain = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
        assert output == plain
        assert plain.startswith("0\n")

    def test_may_be_another_gpulock(self, gpulock: Run, daemon: Daemon) -> None:
        inner = [*GPULOCK, "--", "printenv", "GPULOCK_LOCK"]
        status, output, _ = outcome(gpulock("--", "sh", "-c", f"echo $GPULOCK_LOCK; exec {' '.join(inner)}"))
        first, second = output.split()
        assert (status, first) == (0, second)

    def test_waits_for_its_turn(self, gpulock: Run, daemon: Daemon, taken: Frames) -> None:
        process = gpulock("--", "echo", "granted")
        wait_until(lambda: waiting(daemon) == 1, "it waits")
        taken.call("release")
        status, output, errors = outcome(process)
        assert (status, output) == (0, "granted\n")
        assert errors.startswith("gpulock: waiting for a GPU: next in line; GPU 0: root (pid ")

    def test_waits_in_silence_if_told_to(self, gpulock: Run, daemon: Daemon, taken: Frames) -> None:
        process = gpulock("-q", "--", "true")
        wait_until(lambda: waiting(daemon) == 1, "it waits")
        taken.call("release")
        assert outcome(process) == (0, "", "")


class TestTheLockLivesAsLongAsTheGroup:
    def test_what_the_command_leaves_behind_keeps_it(self, gpulock: Run, daemon: Daemon, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        process = gpulock("--", "sh", "-c", f"(read line < {pipe}) & echo done; exit 3")
        assert said(process) == "done"
        assert len(locks(daemon)) == 1
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        assert len(locks(daemon)) == 1
        pipe.write_text("go\n")
        assert process.wait(PATIENCE) == 3
        assert locks(daemon) == []

    def test_a_daemon_that_leaves_the_group_does_not(self, gpulock: Run, daemon: Daemon) -> None:
        process = gpulock("--", "sh", "-c", "setsid sleep 600 > /dev/null 2>&1 & echo $!")
        left = int(said(process))
        try:
            assert process.wait(PATIENCE) == 0
            os.kill(left, 0)
        finally:
            os.kill(left, signal.SIGKILL)

    def test_gpulock_killed_is_the_command_killed(self, gpulock: Run, daemon: Daemon) -> None:
        process = gpulock("--", "sh", "-c", "echo $$; exec sleep 600")
        command = int(said(process))
        process.kill()
        wait_until(lambda: gone(command), "the command has ended, too")
        wait_until(lambda: not locks(daemon), "the lock is free")


def gone(pid: int) -> bool:
    """Whether there is no such process, or only what is left of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between the open and the read
        return True


class TestSignals:
    @pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"])
    def test_are_passed_on_to_the_whole_group(self, gpulock: Run, name: str) -> None:
        # In the foreground of its shell: a shell lets what it puts into the background ignore INT and QUIT.
        inner = f"trap 'echo {name}; exit 7' {name}; echo ready; while :; do sleep 0.05; done"
        process = gpulock("--", "sh", "-c", f'trap : {name}; sh -c "{inner}"; exit $?')
        assert said(process) == "ready"
        process.send_signal(getattr(signal, f"SIG{name}"))
        status, output, _ = outcome(process)
        assert (status, output) == (7, f"{name}\n")

    def test_that_end_the_command_are_its_exit_status(self, gpulock: Run) -> None:
        process = gpulock("--", "sh", "-c", "echo ready; exec sleep 600")
        said(process)
        process.terminate()
        assert outcome(process)[0] == 128 + signal.SIGTERM

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
    def test_end_the_wait(self, gpulock: Run, daemon: Daemon, taken: Frames, number: int) -> None:
        process = gpulock("-q", "--", "true")
        wait_until(lambda: waiting(daemon) == 1, "it waits")
        process.send_signal(number)
        assert outcome(process) == (128 + number, "", "")
        wait_until(lambda: waiting(daemon) == 0, "the request is gone")

    def test_that_are_ignored_stay_so(self, daemon: Daemon) -> None:
        with ExitStack() as programs:
            process = processes.start(
                ["nohup", *GPULOCK, "--", "sh", "-c", "echo ready; cat; echo end"],
                environment={"GPULOCK_SOCKET": daemon.socket},
                stdin=subprocess.PIPE,
            )
            programs.callback(processes.end, process)
            assert said(process) == "ready"
            process.send_signal(signal.SIGHUP)
            status, output, _ = outcome(process)
        assert (status, output) == (0, "end\n")


class TestTheReminder:
    """`--signal`. The command waits to be told to end, and then ends with 3."""

    REMINDED = "trap 'echo reminded' USR1; echo ready; while :; do read line && exit 3; done"

    @pytest.fixture
    def soft(self, tmp_path: Path) -> Iterator[Run]:
        """Under a daemon that asks tasks to finish after 2 seconds."""
        levels = {"warning": 1, "soft_timeout": 2, "hard_timeout": "forever"}
        settings: dict[str, object] = {f"gpu_lock_monitor.timeout_levels.{name}": at for name, at in levels.items()}
        with Daemon(tmp_path, simulate=1, settings=settings) as daemon, ExitStack() as programs:
            yield runner(daemon, programs)

    @staticmethod
    def ends_by_itself(process: subprocess.Popen[str]) -> None:
        output, errors = process.communicate("end\n", timeout=30)
        assert (process.returncode, output, errors) == (3, "", "")

    def test_comes_so_long_before_the_end(self, gpulock: Run) -> None:
        began = time.monotonic()
        process = gpulock("--max-hold", "60", "--signal", "USR1@57", "--", "sh", "-c", self.REMINDED, stdin=-1)
        assert [said(process), said(process)] == ["ready", "reminded"]
        assert 3 <= time.monotonic() - began < 60
        self.ends_by_itself(process)

    def test_without_a_time_when_the_daemon_asks(self, soft: Run) -> None:
        began = time.monotonic()
        process = soft("--signal", "USR1", "--", "sh", "-c", self.REMINDED, stdin=-1)
        assert [said(process), said(process)] == ["ready", "reminded"]
        assert time.monotonic() - began >= 2
        self.ends_by_itself(process)

    def test_is_for_the_whole_group(self, soft: Run) -> None:
        inner = "trap 'echo inner; exit 7' USR1; while :; do sleep 0.05; done"
        process = soft("--signal", "USR1", "--", "sh", "-c", f'trap : USR1; sh -c "{inner}"; exit $?')
        status, output, _ = outcome(process)
        assert (status, output) == (7, "inner\n")

    @pytest.mark.parametrize("max_hold", ["60", "40d", "forever"])
    def test_with_a_time_does_not_come_when_the_daemon_asks(self, soft: Run, tmp_path: Path, max_hold: str) -> None:
        process = soft("--max-hold", max_hold, "--signal", "USR1@1", "--", "sh", "-c", self.REMINDED, stdin=-1)
        assert said(process) == "ready"
        with Frames(str(tmp_path / "gpulockd.sock")) as watcher:
            wait_until(lambda: watcher.call("status")["locks"][0]["level"] == "soft", "the daemon asks")
        self.ends_by_itself(process)

    def test_that_would_be_late_already_is_refused(self, gpulock: Run) -> None:
        status, output, errors = outcome(gpulock("--signal", "USR1@2h", "--", "echo", "started"))
        assert (status, output) == (2, "")
        assert errors.startswith("gpulock: --signal cannot come 2h 00m before the end of a lock that lasts for ")


class TestLost:
    def test_the_whole_group_is_ended(self, gpulock: Run, daemon: Daemon) -> None:
        process = gpulock("--", "sh", "-c", "sleep 600 & echo $!; wait")
        inner = int(said(process))
        daemon.call("revoke", subject=locks(daemon)[0], reason="maintenance")
        status, _, errors = outcome(process)
        assert status == 76
        assert "was lost by root" in errors
        assert "maintenance" in errors
        assert gone(inner)

    def test_with_force_before_the_deadline(self, gpulock: Run, daemon: Daemon) -> None:
        process = gpulock("--", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
        said(process)
        daemon.call("revoke", subject=locks(daemon)[0], grace=1)
        assert outcome(process)[0] == 76

    def test_sooner_where_the_deadline_is_moved(self, gpulock: Run, daemon: Daemon) -> None:
        process = gpulock("--", "sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do read line; done", stdin=-1)
        assert said(process) == "ready"
        [lock] = locks(daemon)
        daemon.call("revoke", subject=lock, grace=600)
        assert said(process) == "asked"
        daemon.call("revoke", subject=lock, grace=1)
        assert outcome(process)[0] == 76

    def test_though_it_is_stopped(self, gpulock: Run, daemon: Daemon) -> None:
        process = gpulock("--", "sh", "-c", "echo $$; exec sleep 600")
        os.kill(int(said(process)), signal.SIGSTOP)
        daemon.call("revoke", subject=locks(daemon)[0], grace=30)
        assert outcome(process)[0] == 76

    def test_a_command_that_ends_in_time_by_itself_was_not_protected_all_the_same(
        self, gpulock: Run, daemon: Daemon
    ) -> None:
        process = gpulock("--", "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
        said(process)
        daemon.call("revoke", subject=locks(daemon)[0])
        assert outcome(process)[0] == 76


class TestTheDaemonGoesAway:
    @pytest.fixture
    def mortal(self, tmp_path: Path) -> Iterator[Daemon]:
        with Daemon(tmp_path, simulate=1) as daemon:
            yield daemon

    def test_and_comes_back(self, mortal: Daemon) -> None:
        with ExitStack() as programs:
            process = runner(mortal, programs)("--", "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
            said(process)
            [lock] = locks(mortal)
            mortal.restart()
            wait_until(lambda: [each["id"] for each in mortal.status()["locks"] if each["connected"]] == [lock], "back")
            assert outcome(process)[0] == 0
            wait_until(lambda: not locks(mortal), "released")

    def test_and_stays_away(self, tmp_path: Path) -> None:
        settings: dict[str, object] = {"daemon.reattach_grace": 2}
        with Daemon(tmp_path, simulate=1, settings=settings) as daemon, ExitStack() as programs:
            process = runner(daemon, programs)("--", "sh", "-c", "echo ready; exec sleep 600")
            said(process)
            daemon.kill()
            status, _, errors = outcome(process)
        assert status == 76
        assert "daemon-away" in errors

    def test_while_it_waits(self, mortal: Daemon) -> None:
        with ExitStack() as programs:
            start = runner(mortal, programs)
            holder = start("--", "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
            said(holder)
            process = start("-q", "-w", "30", "--", "echo", "granted")
            wait_until(lambda: waiting(mortal) == 1, "it waits")
            mortal.restart()
            wait_until(lambda: waiting(mortal) == 1, "it waits again")
            outcome(holder)
            assert outcome(process) == (0, "granted\n", "")
