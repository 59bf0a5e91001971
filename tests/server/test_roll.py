"""The roll: what one daemon writes of its connections, the next one reads, however the first ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from gpulockd.server.roll import TORN, Line, Roll, Stage, UnknownRoll

KEY = "ab" * 32


@pytest.fixture
def roll() -> Iterator[Roll]:
    with closing(Roll.new(8)) as roll:
        yield roll


def reread(roll: Roll, lines: int = 8) -> Roll:
    """What another daemon sees that was passed the descriptor."""
    return Roll(os.dup(roll.descriptor), lines)


def test_a_line_is_read_as_it_was_written(roll: Roll) -> None:
    roll.enter(3, session=2**40, start_time=987654321)
    roll.introduce(3, KEY, "gpulock 1.0", resumes=True)
    roll.watches(3)
    roll.move(3, Stage.KEPT)
    roll.marks[roll.place(3)] = 1
    with closing(reread(roll)) as later:
        assert list(later.used()) == [3]
        assert later.read(3) == Line(
            True, Stage.KEPT, 2**40, 2**40, 987654321, KEY, "gpulock 1.0", watches=True, resumes=True, torn=False
        )


def test_a_new_connection_on_an_old_line_has_nothing_of_the_one_before(roll: Roll) -> None:
    roll.enter(0, session=1, start_time=1)
    roll.introduce(0, KEY, "x" * 500, resumes=True)
    roll.watches(0)
    roll.marks[roll.place(0)] = roll.marks[roll.place(0) + TORN] = 1
    roll.begin_anew(0, session=7)
    roll.enter(0, session=2, start_time=2)
    assert roll.read(0) == Line(False, Stage.OPEN, 2, 2, 2, None, "", watches=False, resumes=False, torn=False)


def test_a_session_that_goes_on_with_a_connection_watches_nothing_yet(roll: Roll) -> None:
    roll.enter(0, session=1, start_time=5)
    roll.introduce(0, KEY, "gpulock 1.0", resumes=True)
    roll.watches(0)
    roll.marks[roll.place(0)] = 1
    roll.begin_anew(0, session=2)
    line = roll.read(0)
    assert (line.session, line.first, line.watches) == (2, 1, False)
    assert (line.marked, line.resumes, line.key) == (True, True, KEY)


@pytest.mark.parametrize(("resumes", "torn", "resumable"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_nothing_can_be_said_behind_half_a_frame(roll: Roll, resumes: bool, torn: int, resumable: bool) -> None:
    roll.enter(0, session=1, start_time=1)
    roll.introduce(0, KEY, "gpulock 1.0", resumes=resumes)
    roll.marks[roll.place(0) + TORN] = torn
    assert roll.read(0).resumable is resumable


def test_who_says_hello_again_may_know_less(roll: Roll) -> None:
    roll.enter(0, session=1, start_time=1)
    roll.introduce(0, KEY, "", resumes=True)
    roll.introduce(0, KEY, "")
    assert not roll.read(0).resumes


def test_a_long_name_is_cut_between_its_characters(roll: Roll) -> None:
    roll.enter(0, session=1, start_time=1)
    roll.introduce(0, KEY, "ä" * 100)
    assert roll.read(0).client == "ä" * 32
    roll.introduce(0, KEY, "x" + "ä" * 100)
    assert roll.read(0).client == "x" + "ä" * 31, "63 bytes, for the next character needs two"


def test_lines_do_not_touch_each_other(roll: Roll) -> None:
    for number in range(8):
        roll.enter(number, session=number + 1, start_time=number)
        roll.introduce(number, f"{number:064x}", "ÿ" * 64)
    assert [roll.read(number).session for number in range(8)] == list(range(1, 9))
    assert [roll.read(number).key for number in range(8)] == [f"{number:064x}" for number in range(8)]


def test_it_grows_with_the_store_and_never_shrinks(roll: Roll) -> None:
    roll.enter(7, session=7, start_time=7)
    with closing(reread(roll, lines=100)) as larger:
        assert larger.lines == 100
        assert larger.read(7).session == 7
        larger.enter(99, session=99, start_time=9)
    with closing(reread(roll, lines=2)) as smaller:
        assert list(smaller.used()) == [7, 99]


def test_it_belongs_to_one_journal(roll: Roll) -> None:
    """One of a daemon that did not name its journal belongs to the first that asks."""
    mine, another = b"m" * 16, b"a" * 16
    roll.enter(7, session=7, start_time=7)
    for _ in range(2):
        with closing(Roll(os.dup(roll.descriptor), 8, mine)) as known:
            assert known.read(7).session == 7
    with pytest.raises(UnknownRoll):
        Roll(roll.descriptor, 8, another)


@pytest.mark.parametrize("content", [b"x" * 200, b"gpulroll\x01\x00\x00\x00\x80\x00\x00\x00" + bytes(200), b"short"])
def test_another_versions_or_anything_else_is_refused(content: bytes) -> None:
    descriptor = os.memfd_create("test")
    try:
        os.write(descriptor, content)
        with pytest.raises(UnknownRoll):
            Roll(descriptor, 8)
    finally:
        os.close(descriptor)
