"""The two plans: everything, for the report; and as much of it as keeps a change from quietly losing the speed."""

from __future__ import annotations

from bench.cells import Plan

FULL = Plan("full", rounds=5, seconds=2.0, yardstick=0.3, patience=1800.0, full=True)
QUICK = Plan("quick", rounds=3, seconds=0.4, yardstick=0.05, patience=0.0, full=False)
