"""The daemon that is measured is let do what is asked of it."""

from __future__ import annotations

from bench.servers import MANY
from bench.stage import Stage
from tests.support.frames import Frames


def test_ten_thousand_of_one_user_may_wait_at_the_daemon_of_a_stage() -> None:
    with Stage() as stage, Frames(stage.daemon.socket) as frames:
        limits = frames.call("hello", versions=[1])["limits"]
        bounds = {name: limits[name] for name in ("sessions", "sessions_per_user", "requests_per_user")}
        assert all(bound >= MANY >= 10_000 for bound in bounds.values()), bounds
