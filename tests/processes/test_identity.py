"""Who a process is: user, command and container, in words that are safe to show."""

from __future__ import annotations

import os
import pwd
import sys

import pytest

from gpulockd.core.model import GpuProcess
from gpulockd.processes import LinuxProcesses, proc
from gpulockd.processes.container import container
from gpulockd.processes.proc import Stat, parse_stat, readable_command
from gpulockd.processes.users import FOUND_SECONDS, MISSED_SECONDS, Users
from tests.support.clock import SetClock
from tests.support.waiting import eventually, wait_until

from .conftest import CLOCK, Start, identity, is_zombie

DOCKER = "3f4c0e6d1b2a" + "0" * 52
OTHER = "9" * 64

NOBODY_HAS_IT = 3_000_000_017


async def test_a_peer_is_described(watcher: LinuxProcesses, start: Start) -> None:
    worker = start("/bin/sleep", "61")

    owner = watcher.identify(worker.pid, os.getuid(), 100, None)

    assert (owner.uid, owner.gid) == (os.getuid(), 100)
    assert owner.user == pwd.getpwuid(os.getuid()).pw_name
    assert owner.command == "sleep 61"
    assert owner.container == container(proc.cgroup(worker.pid))


async def test_administrators_are_told_by_uid_and_by_name(
    watcher: LinuxProcesses, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher of these tests knows root and ada."""
    named = {0: "toor", 1000: "ada", 1001: "bob"}
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd((named[uid], "", uid, uid, "", "", "")))
    worker = start()

    admins = {uid: watcher.identify(worker.pid, uid, uid, None).admin for uid in named}

    assert admins == {0: True, 1000: True, 1001: False}


async def test_a_process_that_calls_itself_anew_is_seen_so(watcher: LinuxProcesses, start: Start) -> None:
    """As a shell does by `exec`."""
    worker = start("sh", "-c", "read line; exec sleep 62", stdin=-1)
    assert watcher.identify(worker.pid, 0, 0, None).command == "sh -c read line; exec sleep 62"
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()

    await eventually(
        lambda: watcher.identify(worker.pid, 0, 0, None).command == "sleep 62", "it is seen under its new name"
    )


async def test_gpu_processes_are_described_where_they_can_be(watcher: LinuxProcesses, start: Start) -> None:
    worker = start("sleep", "63")
    gone = GpuProcess(2**22 + 1, 7)

    described = watcher.annotate([GpuProcess(worker.pid, 1024), gone])

    user = pwd.getpwuid(os.geteuid()).pw_name
    assert described == (
        GpuProcess(
            worker.pid,
            1024,
            user,
            "sleep 63",
            container(proc.cgroup(worker.pid)),
            start_time=identity(worker.pid).start_time,
        ),
        gone,
    )


@pytest.mark.root
async def test_a_gpu_process_is_its_effective_users(watcher: LinuxProcesses, start: Start) -> None:
    script = "import os, sys; os.setresuid(0, 65534, 0); print('set', flush=True); sys.stdin.read()"
    worker = start(sys.executable, "-c", script, stdin=-1)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "set\n"

    (described,) = watcher.annotate([GpuProcess(worker.pid, None)])

    assert described.user == pwd.getpwuid(65534).pw_name


def test_names_are_remembered_and_looked_up_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = SetClock(uptime=0.0), []

    def look_up(uid: int) -> pwd.struct_passwd:
        asked.append(uid)
        if uid == NOBODY_HAS_IT:
            raise KeyError
        return pwd.struct_passwd(("ada", "", uid, uid, "", "", ""))

    monkeypatch.setattr(pwd, "getpwuid", look_up)
    users = Users(clock)
    for clock.uptime in (0.0, MISSED_SECONDS - 1, MISSED_SECONDS, FOUND_SECONDS - 1, FOUND_SECONDS):
        assert (users.name(1000), users.name(NOBODY_HAS_IT)) == ("ada", str(NOBODY_HAS_IT))

    assert asked.count(1000) == 2
    assert asked.count(NOBODY_HAS_IT) == 3


STAT = b"4242 (%s) S 17 4240 4200 34816 4242 4194304 117 0 0 0 3 1 0 0 20 0 1 0 987654 1327104 215 1844674\n"


@pytest.mark.parametrize("name", [b"sleep", b"a) S 1 (b", b"((", b"))", b" ", b"", b"two words"])
def test_a_name_cannot_pretend_to_be_other_fields(name: bytes) -> None:
    stat = parse_stat(STAT % name)
    assert stat == Stat(4242, state="S", parent=17, group=4240, session=4200, start_time=987654)


def test_the_start_time_is_in_ticks_of_the_boot_clock(start: Start) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    before = CLOCK.now()
    stat = proc.stat(start().pid)

    assert stat is not None
    assert before - 1 / ticks <= stat.start_time / ticks <= CLOCK.now()


@pytest.mark.parametrize(
    ("cmdline", "command"),
    [
        (b"sleep\x0060\0", "sleep 60"),
        (b"/opt/conda/bin/python\0-m\0train\0--lr\x000.1\0", "python -m train --lr 0.1"),
        (b"[celeryd: gpu@host:ForkPoolWorker-1]\0\0\0", "[celeryd: gpu@host:ForkPoolWorker-1]"),
        (b"/usr/bin/some daemon: idle /tmp/x\0", "/usr/bin/some daemon: idle /tmp/x"),
        (b"python\0-c\0import time\n\ntime.sleep(3)\0", "python -c import time time.sleep(3)"),
        (b"evil\0\x1b]0;title\x07\x1b[2J\0", "evil �]0;title��[2J"),
        (b"caf\xc3\xa9\0\xff\xfe\0", "café ��"),
        (b"", ""),
    ],
)
def test_a_command_line_is_one_readable_line(cmdline: bytes, command: str) -> None:
    assert readable_command(cmdline) == command


def test_a_long_command_line_is_cut() -> None:
    command = readable_command(b"python\0" + b"x" * 3000)
    assert len(command) == proc.COMMAND_CHARACTERS
    assert command.startswith("python xxx")
    assert command.endswith("x…")


def test_a_process_without_command_line_goes_by_its_name(start: Start) -> None:
    """As a zombie does, and a thread of the kernel."""
    worker = start("true")
    wait_until(lambda: is_zombie(worker.pid), "the worker is a zombie")
    assert proc.command(worker.pid) == "[true]"
    worker.wait()
    assert proc.command(worker.pid) == ""


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        ("0::/", ""),
        ("0::/user.slice/user-1000.slice/session-3.scope", ""),
        ("0::/system.slice/gpulockd.service", ""),
        ("", ""),
        # Docker: cgroup v2 with systemd, with cgroupfs, v1, and seen from a cgroup namespace beside it
        (f"0::/system.slice/docker-{DOCKER}.scope", "docker:3f4c0e6d1b2a"),
        (f"0::/docker/{DOCKER}", "docker:3f4c0e6d1b2a"),
        (f"0::/docker/{DOCKER}/init", "docker:3f4c0e6d1b2a"),
        (f"0::/../docker-{DOCKER}.scope", "docker:3f4c0e6d1b2a"),
        (f"12:pids:/docker/{DOCKER}\n1:name=systemd:/docker/{DOCKER}", "docker:3f4c0e6d1b2a"),
        # Podman: of root, of a user, and its monitor, which is outside
        (f"0::/machine.slice/libpod-{DOCKER}.scope/container", "podman:3f4c0e6d1b2a"),
        (
            f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{DOCKER}.scope/container",
            "podman:3f4c0e6d1b2a",
        ),
        (f"0::/machine.slice/libpod-conmon-{DOCKER}.scope", ""),
        # Kubernetes on containerd, CRI-O, and with cgroupfs
        (
            f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c3d4e_5f60.slice/cri-containerd-{DOCKER}.scope",
            "containerd:3f4c0e6d1b2a",
        ),
        (f"0::/kubepods.slice/kubepods-pod1b2c.slice/crio-{DOCKER}.scope", "cri-o:3f4c0e6d1b2a"),
        (f"0::/kubepods.slice/kubepods-pod1b2c.slice/crio-conmon-{DOCKER}.scope", ""),
        (
            f"11:memory:/kubepods/besteffort/pod1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901/{DOCKER}",
            "kubernetes:3f4c0e6d1b2a",
        ),
        # containerd by itself
        (f"0::/system.slice/nerdctl-{DOCKER}.scope", "containerd:3f4c0e6d1b2a"),
        (f"0::/default/{DOCKER}", "container:3f4c0e6d1b2a"),
        # Kubernetes in Docker: the host knows the outer one
        (f"0::/docker/{DOCKER}/kubelet/kubepods/pod1b2c/{OTHER}", "docker:3f4c0e6d1b2a"),
        # What only looks like one
        (f"0::/system.slice/docker-{DOCKER}0.scope", ""),
        (f"0::/system.slice/docker-{DOCKER[:40]}.scope", ""),
        (f"0::/system.slice/backup-{DOCKER}.service", ""),
        (f"0::/system.slice/{DOCKER}.service", ""),
    ],
)  # fmt: skip
def test_containers_are_told_by_their_control_group(cgroup: str, name: str) -> None:
    assert container(cgroup) == name
