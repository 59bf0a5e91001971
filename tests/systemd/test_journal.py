"""What `journalctl` finds of what the daemon did: by GPU, by lock, by event."""

from __future__ import annotations

import json
from typing import Any

from tests.support.waiting import wait_until

from .machine import Machine


def entries(machine: Machine, *matches: str) -> list[dict[str, Any]]:
    lines = machine.run("journalctl", "--output", "json", "--no-pager", *matches).splitlines()
    return [json.loads(line) for line in lines]


def test_events_are_found_by_their_fields(machine: Machine) -> None:
    uuid = machine.status()["gpus"][2]["uuid"]
    machine.run("gpulockctl", "drain", "2", "--reason", "new fan")
    machine.run("gpulockctl", "undrain", "2")
    found = wait_until(lambda: entries(machine, f"GPU_UUID={uuid}", "EVENT=gpu.drained"), "the journal has it")
    assert found[-1]["GPU_INDEX"] == "2"
    assert found[-1]["PRIORITY"] == "4"
    assert found[-1]["_SYSTEMD_UNIT"] == "gpulockd.service"
    assert "new fan" in found[-1]["MESSAGE"]


def test_all_that_befell_a_lock_has_its_id(machine: Machine) -> None:
    with machine.start("gpulock", "--", "sleep", "1000") as holder:
        (lock,) = wait_until(lambda: machine.status()["locks"], "it holds a lock")
        machine.run("gpulockctl", "revoke", lock["id"], "--reason", "maintenance", "--grace", "0")
        holder.communicate(timeout=60)

    def told() -> list[str]:
        return [each["EVENT"] for each in entries(machine, f"LOCK_ID={lock['id']}")]

    wait_until(lambda: "lock.ended" in told(), "the journal has its end")
    assert told()[0] == "lock.recalled"
    assert [each["EVENT"] for each in entries(machine, f"GPU_UUID={lock['gpus'][0]}", "EVENT=lock.ended")]
