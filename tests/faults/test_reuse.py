"""A real pid that is used again at once: who has it now is not who had it then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OWN_PIDS = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def may_have_pids_of_its_own() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*OWN_PIDS, "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not may_have_pids_of_its_own(), reason="NOTHING CHECKED: no pid namespace may be made here"),
]


def test_a_process_with_the_pid_the_key_and_the_words_of_a_dead_holder_is_a_stranger(tmp_path: Path) -> None:
    run = subprocess.run(
        [*OWN_PIDS, sys.executable, "-m", "tests.faults.reuse", str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    for scene in json.loads(run.stdout):
        was, now = scene["was"], scene["is"]
        assert now["pid"] == was["pid"], "the pid was not used again: nothing is shown"
        assert now["locks"] == []
        assert now["obeyed"] == []
        assert now["granted"]["token"] > was["token"]
