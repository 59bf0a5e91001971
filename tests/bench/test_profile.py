"""Looks at stacks become microseconds by part."""

from __future__ import annotations

from bench.profile import _looks, _shared, table

STACKS = [
    "<module> (bench/__main__.py:3);acquire (client/gpulock/sync.py:40);feed (gpulock/rpc.py:81) 30",
    "acquire (client/gpulock/sync.py:40);select (selectors.py:3) 10",
    "run (asyncio/runners.py:100) 9",
    "commit (/somewhere/gpulockd/journal/sqlite.py:90);dumps (json/__init__.py:1) 1",
]


def test_a_look_counts_for_the_innermost_part_of_ours() -> None:
    assert _looks(STACKS) == {"gpulock/rpc": 30, "gpulock/sync": 10, "event loop": 9, "gpulockd/journal/sqlite": 1}


def test_the_looks_share_out_the_time_and_small_parts_are_put_together() -> None:
    parts = {**_shared(50.0, _looks(STACKS)), "kernel": 50.0}
    assert table("client", parts).splitlines() == [
        "| client, 100 µs of CPU a cycle | µs | share |",
        "|---|---|---|",
        "| kernel | 50.0 | 50% |",
        "| gpulock/rpc | 30.0 | 30% |",
        "| gpulock/sync | 10.0 | 10% |",
        "| event loop | 9.0 | 9% |",
        "| 1 smaller ones | 1.0 | 1% |",
    ]
