"""A real pid that is used again at once: who has it now is not who had it then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("unshare") is None, reason="NOTHING CHECKED: unshare(1) is not installed"),
]


def test_a_process_with_the_pid_the_key_and_the_words_of_a_dead_holder_is_a_stranger(tmp_path: Path) -> None:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    run = subprocess.run(
        [*command, sys.executable, "-m", "tests.faults.reuse", str(tmp_path)],
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
