"""What a machine says of its NVIDIA GPUs without NVML's help: nvidia-smi, /dev, /proc and the PCI bus."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROC_DEVICES = Path("/proc/devices")
_NVIDIA = "0x10de"


class Skipped(Exception):
    """Why something cannot be looked at on this machine."""


def traces() -> list[str]:
    """Signs of an NVIDIA GPU, whether its driver works or not: device files and PCI addresses."""
    cards = [
        str(device)
        for device in Path("/sys/bus/pci/devices").glob("*")
        if _text(device / "vendor") == _NVIDIA and _text(device / "class").startswith("0x03")
    ]
    return [*map(str, Path("/dev").glob("nvidia[0-9]*")), *cards]


def smi(*arguments: str) -> str:
    """What `nvidia-smi` prints."""
    if (program := shutil.which("nvidia-smi")) is None:
        raise Skipped("there is no nvidia-smi to compare with")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout


def smi_undivided_gpus() -> dict[int, tuple[str, str, int]]:
    """UUID, name and MiB of every card that is not in MIG mode, by its index."""
    fields = "index,uuid,name,memory.total,mig.mode.current"
    lines = smi(f"--query-gpu={fields}", "--format=csv,noheader,nounits").splitlines()
    rows = [re.split(r",\s*", line) for line in lines]
    return {int(index): (uuid, name, int(memory)) for index, uuid, name, memory, mig in rows if mig != "Enabled"}


def smi_instances() -> set[str]:
    """UUIDs of the MIG instances."""
    return set(re.findall(r"MIG-[0-9a-fA-F/-]+", smi("-L")))


def smi_processes() -> set[int]:
    """Everybody who computes."""
    return {int(pid) for pid in re.findall(r"\d+", smi("--query-compute-apps=pid", "--format=csv,noheader"))}


def device_names() -> Mapping[str, set[str]]:
    """For each device file that NVML uses, the names that /proc/devices has for its driver."""
    names: dict[int, set[str]] = {}
    for number, name in re.findall(r"^ *(\d+) (\S+)$", _text(PROC_DEVICES).partition("Block")[0], re.MULTILINE):
        names.setdefault(int(number), set()).add(name)
    files = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("nvidiactl"), *Path("/dev").glob("nvidia-caps/*")]
    if not files:
        raise Skipped("there is no /dev/nvidia* here")
    devices = {file: file.stat() for file in files}
    return {
        str(file): names.get(os.major(device.st_rdev), set())
        for file, device in devices.items()
        if stat.S_ISCHR(device.st_mode)
    }


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
