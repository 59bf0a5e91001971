"""Root writes the daemon's file: one at a time, and not at all where the daemon refuses it."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from gpulock.errors import ConfigurationRefused, ConfigurationUnwritable, DaemonUnavailable
from gpulockd.ctl.configuring.ownfile import replaced


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yml"
    file.write_bytes(b"# old\n")
    file.chmod(0o640)
    return file


def test_it_is_replaced_in_its_place_through_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yml"
    link.symlink_to(file)
    with replaced(link, b"# new\n"):
        assert file.read_bytes() == b"# new\n"
    assert file.read_bytes() == b"# new\n"
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_is_refused_is_taken_out_again(file: Path) -> None:
    with pytest.raises(ConfigurationRefused), replaced(file, b"# new\n"):
        raise ConfigurationRefused("the disk is full")
    assert file.read_bytes() == b"# old\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_a_daemon_that_died_made_of_it_is_for_the_next_to_say(file: Path) -> None:
    with pytest.raises(DaemonUnavailable), replaced(file, b"# new\n"):
        raise DaemonUnavailable("it has gone")
    assert file.read_bytes() == b"# new\n"


def test_two_at_once_each_have_it_read_with_their_own_content(file: Path) -> None:
    seen: list[tuple[bytes, bytes]] = []
    start = threading.Barrier(4)

    def apply(content: bytes) -> None:
        start.wait(10)
        for _ in range(25):
            with replaced(file, content):
                seen.append((content, file.read_bytes()))

    threads = [threading.Thread(target=apply, args=(b"# %d\n" % number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(seen) == 100
    assert all(written == read for written, read in seen)


@pytest.mark.parametrize("path", ["absent.yml", "no directory/config.yml"])
def test_a_file_that_is_not_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationUnwritable, match="cannot be replaced"), replaced(tmp_path / path, b""):
        raise AssertionError("nothing was written")
