"""The socket's file: who may open it, what is replaced, and what is left alone."""

from __future__ import annotations

import grp
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpulockd.ports import StartupRefused
from gpulockd.server import endpoint
from gpulockd.server.endpoint import Endpoint, bind

NO_GROUP = "no-such-group"
OWN_GROUP = grp.getgrgid(os.getegid()).gr_name


@contextmanager
def bound(path: Path | str, group: str = OWN_GROUP) -> Iterator[Endpoint]:
    made = bind(str(path), group=group)
    try:
        yield made
    finally:
        made.close()


def connects(path: Path | str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return True


def leave_dead_socket(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))


def test_it_listens_and_its_directory_is_made(tmp_path: Path) -> None:
    path = tmp_path / "run" / "gpulockd" / "s.sock"
    with bound(path) as made:
        assert connects(path)
        assert made.path == str(path)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert not path.exists()


def test_owner_and_group_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    before = os.umask(0o000)  # the daemon's umask is none of its protection
    try:
        with bound(path) as made:
            found = path.stat()
            assert stat.S_IMODE(found.st_mode) == 0o660
            assert found.st_gid == os.getegid()
            assert repr(OWN_GROUP) in made.audience
    finally:
        assert os.umask(before) == 0o000


def test_without_the_group_only_the_owner_may(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with bound(path, NO_GROUP) as made:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "there is no group 'no-such-group'" in made.audience


def test_it_is_never_open_to_others_not_even_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.sock"
    modes: list[int] = []
    chown = os.chown

    def looking(*args: object, **options: object) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        chown(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "chown", looking)
    before = os.umask(0o000)
    try:
        with bound(path):
            assert modes == [0o600]
    finally:
        os.umask(before)


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    leave_dead_socket(path)
    with bound(path):
        assert connects(path)


def test_a_living_one_is_left_alone_and_named(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with bound(path):
        with pytest.raises(StartupRefused) as caught:
            bind(str(path))
        assert f"process {os.getpid()} (" in str(caught.value)
        assert f"listens at {path} already" in str(caught.value)
        assert connects(path)


def test_one_with_a_full_backlog_lives_too(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(str(path))
        busy.listen(0)
        first.connect(str(path))
        with pytest.raises(StartupRefused, match="full backlog"):
            bind(str(path))
        assert path.exists()


def test_a_socket_of_another_type_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(StartupRefused, match="another type"):
            bind(str(path))
        assert path.exists()


@pytest.mark.parametrize("kind", ["a symbolic link", "a directory", "no socket"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path, precious = tmp_path / "s.sock", tmp_path / "precious"
    if kind == "a symbolic link":
        leave_dead_socket(precious)
        path.symlink_to(precious)
    elif kind == "a directory":
        path.mkdir()
    else:
        path.write_text("precious")
    with pytest.raises(StartupRefused, match=f"exists and is {kind}"):
        bind(str(path))
    assert path.is_symlink() or path.exists()
    assert kind != "a symbolic link" or precious.exists()


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupRefused, match="symbolic link"):
        bind(str(path))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("length", [107, 108])
def test_the_longest_path(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("x" * (length - len(str(tmp_path)) - 1))
    assert len(str(path)) == length
    if length <= endpoint.MAX_PATH:
        with bound(path):
            assert connects(path)
    else:
        with pytest.raises(StartupRefused, match="has 108 bytes, and the kernel allows 107") as caught:
            bind(str(path))
        assert "daemon.socket" in caught.value.hint


def test_a_directory_that_everybody_may_write_to(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(StartupRefused, match="everybody may write") as caught:
        bind(str(tmp_path / "open" / "s.sock"))
    assert caught.value.hint == f"chmod o-w {tmp_path / 'open'}"
    (tmp_path / "open").chmod(0o1777)
    with bound(tmp_path / "open" / "s.sock"):
        pass


def test_a_directory_that_a_group_may_write_to(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o775)
    with pytest.raises(StartupRefused, match=r"group \d+ may write") as caught:
        bind(str(tmp_path / "shared" / "s.sock"))
    assert caught.value.hint == f"chmod g-w {tmp_path / 'shared'}"


@pytest.mark.root
def test_a_directory_of_another_user(tmp_path: Path) -> None:
    """Who owns it may put another socket there at any time, whatever its mode says now."""
    (tmp_path / "theirs").mkdir(mode=0o755)
    os.chown(tmp_path / "theirs", 65534, -1)
    with pytest.raises(StartupRefused, match="belongs to uid 65534, who may write to it") as caught:
        bind(str(tmp_path / "theirs" / "s.sock"))
    assert caught.value.hint == f"chown 0 {tmp_path / 'theirs'}, or set daemon.socket"


def test_a_link_to_such_a_directory_is_no_way_around(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    with pytest.raises(StartupRefused, match="everybody may write"):
        bind(str(tmp_path / "link" / "s.sock"))


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupRefused, match="cannot make the socket's directory"):
        bind(str(tmp_path / "file" / "s.sock"))


@pytest.mark.root
def test_a_directory_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    refused: list[StartupRefused] = []

    def as_nobody() -> None:
        os.setresuid(-1, 65534, -1)
        try:
            bind(str(tmp_path / "s.sock"))
        except StartupRefused as error:
            refused.append(error)

    pid = os.fork()
    if pid == 0:
        as_nobody()
        os._exit(0 if refused and "Permission denied" in str(refused[0]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_failure_after_the_bind_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "chown", full)
    with pytest.raises(StartupRefused, match="No space left"):
        bind(str(tmp_path / "s.sock"), group=OWN_GROUP)
    assert list(tmp_path.iterdir()) == []


def test_on_closing_only_the_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    first = bind(str(path))
    path.rename(tmp_path / "moved")
    second = bind(str(path))
    first.close()
    assert connects(path)
    second.close()
    assert not path.exists()
    second.close()


def test_many_can_wait_at_the_door(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    most = min(endpoint.BACKLOG, int(Path("/proc/sys/net/core/somaxconn").read_text()), 500)
    with bound(path):
        waiting = []
        done = threading.Event()

        def knock() -> None:
            for _ in range(most):
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(str(path))
                waiting.append(sock)
            done.set()

        threading.Thread(target=knock, daemon=True).start()
        assert done.wait(15)
        for sock in waiting:
            sock.close()
