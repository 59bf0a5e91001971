"""The queue against the simplest queue there could be: a sorted list."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings, strategies as st

from gpulockd.core.model import Owner, Process, Request, Wish
from gpulockd.core.queue import Queue, rank

# Two busy cores say nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
OWNER = Owner(Process(1, 1, "boot"), 0, 0)
LANES = [(frozenset({"a"}), 1), (frozenset({"b"}), 1), (frozenset({"a", "b"}), 1), (frozenset({"a", "b"}), 2)]


def request(number: int, lane: int, place: tuple[float, int]) -> Request:
    candidates, count = LANES[lane]
    return Request(f"R{number}", 1, number, OWNER, Wish(count), candidates, 0.0, place)


def in_order(waiting: dict[str, Request]) -> list[Request]:
    return sorted(waiting.values(), key=lambda each: each.rank)


@UNHURRIED
@given(st.data())
def test_the_heads_are_the_first_of_each_lane_in_order(data: st.DataObject) -> None:
    waiting: dict[str, Request] = {}
    queue = Queue(waiting)
    for number in range(data.draw(st.integers(0, 200))):
        leaves: bool = data.draw(st.booleans())
        if waiting and leaves:
            leaving: str = data.draw(st.sampled_from(sorted(waiting)))
            queue.remove(waiting[leaving])
        else:
            place = rank(data.draw(st.floats(0, 10)), data.draw(st.integers(-2, 2)), 3.0, number)
            queue.add(request(number, data.draw(st.integers(0, len(LANES) - 1)), place))
        expected: dict[object, Request] = {}
        for each in in_order(waiting):
            expected.setdefault((each.candidates, each.wish.count), each)
        assert list(queue.heads()) == sorted(expected.values(), key=lambda each: each.rank)
        assert len(queue) == len(waiting)


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 10)), max_size=60))
def test_taking_every_head_out_takes_all_out_in_the_order_of_rank(arrivals: list[tuple[int, float]]) -> None:
    waiting: dict[str, Request] = {}
    queue = Queue(waiting)
    for number, (lane, arrived) in enumerate(arrivals):
        queue.add(request(number, lane, rank(arrived, 0, 1.0, number)))
    order = in_order(waiting)
    taken = []
    for head in queue.heads():
        queue.remove(head)
        taken.append(head)
    assert taken == order
    assert len(queue) == 0


def test_a_lane_forgets_those_that_left_behind_a_head_that_stays() -> None:
    queue = Queue({})
    queue.add(request(0, 0, (0.0, 0)))
    for number in range(1, 10_000):
        passing = request(number, 0, (1.0, number))
        queue.add(passing)
        queue.remove(passing)
    (lane,) = queue._lanes.values()
    assert len(lane._heap) < 200


def test_a_head_start_orders_priorities_and_runs_out() -> None:
    assert rank(100.0, 1, 300.0, 2) < rank(0.0, 0, 300.0, 1)
    assert rank(301.0, 1, 300.0, 2) > rank(0.0, 0, 300.0, 1)
    assert rank(5.0, 0, 300.0, 1) < rank(5.0, 0, 300.0, 2)
