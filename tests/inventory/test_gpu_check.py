"""`make gpu-check` itself, on the pretended driver: a check that cannot fail, or cannot run, checks nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import nvidia_machine
from tests.support.fake_nvml import GIB, FakeNvml

SCRIPT = Path(__file__).parents[1] / "gpu_check.py"
SMI = """#!/bin/sh
case "$1" in
    --query-gpu=*) cat "{folder}/gpus.csv" ;;
    -L) cat "{folder}/list.txt" ;;
    *) ;;
esac
"""

pytestmark = [pytest.mark.system, pytest.mark.slow]


def install_smi(nvml: FakeNvml, folder: Path, instance: str | None = None) -> None:
    """An `nvidia-smi` that lists the three cards, the last one in MIG mode if it has an instance."""
    modes = ["[N/A]", "Disabled", "Enabled" if instance else "Disabled"]
    rows = [f"{gpu}, {nvml.uuid(gpu)}, Pretended GPU {gpu}, {16 * 1024}, {mode}\n" for gpu, mode in enumerate(modes)]
    (folder / "gpus.csv").write_text("".join(rows))
    (folder / "list.txt").write_text(f"  MIG 1g.5gb     Device  0: (UUID: {instance})\n" if instance else "")
    program = folder / "nvidia-smi"
    program.write_text(SMI.format(folder=folder))
    program.chmod(0o755)


def check(environment: dict[str, str], smi: Path) -> subprocess.CompletedProcess[str]:
    path = f"{smi}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_everything_holds_on_the_pretended_driver(nvml: FakeNvml, tmp_path: Path) -> None:
    install_smi(nvml, tmp_path, nvml.uuid(nvml.add_instance(2)))
    done = check(nvml.environment(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "ok       status shows the GPUs that nvidia-smi shows: 0: Pretended GPU 0, 16384 MiB;",
        "ok       MIG instances are GPUs: MIG-00000003-0000-4000-8000-000000000000",
        "ok       the GPU of a lock is the one that CUDA sees",
        "ok       a holder's process is shown as its own",
        "ok       a process without a lock is shown as foreign",
        "ok       a killed holder makes way",
        "ok       an orphan keeps the GPU from the next holder",
        "nothing failed",
    ):
        assert words in done.stdout


def test_a_difference_fails_it(nvml: FakeNvml, tmp_path: Path) -> None:
    nvml.add_instance(2)
    install_smi(nvml, tmp_path, "MIG-99999999-0000-4000-8000-000000000000")
    nvml.set_memory(1, used=0, total=8 * GIB)
    done = check(nvml.environment(), tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED   status shows the GPUs that nvidia-smi shows" in done.stdout
    assert "FAILED   MIG instances are GPUs" in done.stdout


def test_without_a_gpu_it_says_aloud_that_it_skipped(tmp_path: Path) -> None:
    if traces := nvidia_machine.traces():
        pytest.skip(f"this machine has an NVIDIA GPU: {traces}")
    (tmp_path / "libnvidia-ml.so.1").touch()
    done = check({"LD_LIBRARY_PATH": str(tmp_path)}, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("SKIPPED: NOTHING WAS CHECKED")
