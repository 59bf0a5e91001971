"""The real NVML binding over a driver of our own: which GPUs there are, and what they say of themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pynvml
import pytest

from gpulockd.core.model import GpuIdentity, GpuProcess, Sample
from gpulockd.inventory.nvidia import NvmlInventory
from gpulockd.ports import Inventory, StartupRefused, Unavailable
from tests.support.fake_nvml import GIB, Call, FakeNvml, FakeProcess, Kind


async def sampled(inventory: NvmlInventory, nvml: FakeNvml, gpu: int = 0) -> Sample:
    """What the inventory says of one GPU, having discovered all."""
    await inventory.discover()
    return (await inventory.sample())[nvml.uuid(gpu)]


class TestDiscovery:
    async def test_gpus_have_the_names_and_numbers_that_nvml_gives(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        nvml.set_memory(1, used=0, total=80 * GIB)
        port: Inventory = inventory
        gpus = await port.discover()
        assert [gpu.index for gpu in gpus] == [0, 1, 2]
        assert gpus[1] == GpuIdentity(nvml.uuid(1), 1, "Pretended GPU 1", 80 * GIB)
        assert port.driver == "NVIDIA 999.12.03"
        assert not port.simulated

    @pytest.mark.parametrize(
        ("name", "shown"),
        [("Grafikkarte Größe 1 ™".encode(), "Grafikkarte Größe 1 ™"), (b"GPU \xff\xfe", "GPU \ufffd\ufffd")],
    )
    async def test_names_are_bytes_of_any_kind(
        self, inventory: NvmlInventory, nvml: FakeNvml, name: bytes, shown: str
    ) -> None:
        nvml.set_name(0, name)
        assert (await inventory.discover())[0].name == shown

    async def test_a_card_that_fails_is_left_out_and_the_log_says_why(
        self, inventory: NvmlInventory, nvml: FakeNvml, caplog: pytest.LogCaptureFixture
    ) -> None:
        nvml.fail(1, pynvml.NVML_ERROR_GPU_IS_LOST, Call.HANDLE)
        assert [gpu.index for gpu in await inventory.discover()] == [0, 2]
        assert "card 1 is left out until gpulockd starts anew: GPU is lost: reset it" in caplog.text

    async def test_memory_that_the_driver_does_not_tell_is_none_at_all(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        nvml.fail(0, pynvml.NVML_ERROR_NOT_SUPPORTED, Call.MEMORY, Call.MEMORY_V2)
        assert (await inventory.discover())[0].memory_total == 0


class TestRefusal:
    """No driver and no GPU: the daemon must not start, and has to say both ways out."""

    @pytest.mark.parametrize(
        ("code", "words", "remedy"),
        [
            (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "NVML Shared Library Not Found", "install the NVIDIA driver"),
            (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded", "modprobe nvidia"),
            (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "version mismatch", "reload the nvidia modules"),
            (pynvml.NVML_ERROR_NO_PERMISSION, "Insufficient Permissions", "/dev/nvidia*"),
            (pynvml.NVML_ERROR_UNKNOWN, "Unknown Error", "journalctl"),
            (pynvml.NVML_ERROR_GPU_NOT_FOUND, "The given GPU was not found", "journalctl"),
        ],
    )
    async def test_nvml_does_not_initialise(
        self, inventory: NvmlInventory, nvml: FakeNvml, code: int, words: str, remedy: str
    ) -> None:
        nvml.fail_init(code)
        with pytest.raises(StartupRefused) as refused:
            await inventory.discover()
        assert words in str(refused.value)
        assert remedy in refused.value.hint
        assert "--simulate N" in refused.value.hint

    async def test_no_library(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty file in the place of the library hides whatever driver this machine may have."""
        (tmp_path / "libnvidia-ml.so.1").touch()
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        with pytest.raises(StartupRefused, match="NVML Shared Library Not Found") as refused:
            await NvmlInventory(timeout=1).discover()
        assert "install the NVIDIA driver" in refused.value.hint
        assert "--simulate N" in refused.value.hint

    async def test_no_gpu(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in FakeNvml(tmp_path, gpus=0).environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StartupRefused, match="the driver lists no GPU") as refused:
            await NvmlInventory(timeout=1).discover()
        assert "--simulate N" in refused.value.hint

    async def test_no_card_answers(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        for gpu in range(3):
            nvml.fail(gpu, pynvml.NVML_ERROR_GPU_IS_LOST)
        with pytest.raises(StartupRefused, match="GPU is lost"):
            await inventory.discover()

    async def test_it_can_be_tried_again(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        nvml.fail_init(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        with pytest.raises(StartupRefused):
            await inventory.discover()
        nvml.fail_init(0)
        assert len(await inventory.discover()) == 3


class TestSample:
    async def test_a_healthy_gpu(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        nvml.set_memory(0, used=GIB)
        nvml.set_utilization(0, 37)
        nvml.set_processes(0, [FakeProcess(4711, 2 * GIB)])
        assert await sampled(inventory, nvml) == Sample(
            memory_used=3 * GIB, utilization=0.37, processes=(GpuProcess(4711, 2 * GIB),)
        )

    async def test_it_follows_what_changes(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        assert (await sampled(inventory, nvml)).memory_used == 0
        nvml.set_memory(0, used=5)
        assert (await sampled(inventory, nvml)).memory_used == 5

    @pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION])
    async def test_what_the_driver_cannot_tell_is_no_fault(
        self, inventory: NvmlInventory, nvml: FakeNvml, code: int
    ) -> None:
        everything = [Call.MEMORY, Call.MEMORY_V2, Call.UTILIZATION, Call.COMPUTE, Call.GRAPHICS, Call.MPS]
        nvml.fail(0, code, *everything, Call.MIG_MODE)
        assert await sampled(inventory, nvml) == Sample()

    async def test_an_older_driver_tells_memory_the_older_way(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        nvml.set_memory(0, used=GIB)
        nvml.fail(0, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, Call.MEMORY_V2)
        assert (await sampled(inventory, nvml)).memory_used == GIB

    async def test_utilization_makes_no_gpu_sick(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        nvml.fail(0, pynvml.NVML_ERROR_UNKNOWN, Call.UTILIZATION)
        sample = await sampled(inventory, nvml)
        assert (sample.fault, sample.utilization) == (None, None)

    @pytest.mark.parametrize(
        ("code", "fault"),
        [
            (pynvml.NVML_ERROR_GPU_IS_LOST, "GPU is lost: reset it with `nvidia-smi --gpu-reset`"),
            (pynvml.NVML_ERROR_RESET_REQUIRED, "GPU requires restart: reset it with"),
            (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "NVML/RM version mismatch: the driver was updated"),
            (pynvml.NVML_ERROR_UNKNOWN, "Unknown Error: look for NVRM and Xid lines in the kernel log"),
            (777, "An error that only the library knows: look for"),
        ],
    )
    @pytest.mark.parametrize("call", [Call.HANDLE, Call.MEMORY_V2, Call.COMPUTE])
    async def test_a_sick_gpu_says_what_nvml_says_and_what_to_do(
        self, inventory: NvmlInventory, nvml: FakeNvml, call: Call, code: int, fault: str
    ) -> None:
        await inventory.discover()
        nvml.fail(1, code, call)
        samples = await inventory.sample()
        assert fault in str(samples[nvml.uuid(1)].fault)
        assert [samples[nvml.uuid(gpu)].fault for gpu in (0, 2)] == [None, None]
        nvml.fail(1, 0)
        assert (await inventory.sample())[nvml.uuid(1)].fault is None


class TestProcesses:
    async def test_computing_drawing_and_mps_each_process_once(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        nvml.set_processes(
            0,
            [
                FakeProcess(100, 3, Kind.COMPUTE | Kind.GRAPHICS),
                FakeProcess(200, 4, Kind.GRAPHICS),
                FakeProcess(300, 5, Kind.MPS),
                FakeProcess(400, None),
            ],
        )
        expected = {GpuProcess(100, 3), GpuProcess(200, 4), GpuProcess(300, 5), GpuProcess(400, None)}
        await inventory.discover()
        found = await inventory.processes(nvml.uuid(0))
        assert found is not None
        assert len(found) == 4
        assert set(found) == expected
        assert await inventory.processes(nvml.uuid(1)) == ()

    async def test_the_larger_figure_counts_where_two_lists_differ(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        nvml.set_processes(0, [FakeProcess(7, None), FakeProcess(7, 9, Kind.GRAPHICS), FakeProcess(7, 8, Kind.MPS)])
        assert (await sampled(inventory, nvml)).processes == (GpuProcess(7, 9),)

    async def test_processes_that_this_namespace_cannot_see_are_not_one(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        nvml.set_processes(0, [FakeProcess(0, 1), FakeProcess(0, 2)])
        assert (await sampled(inventory, nvml)).processes == (GpuProcess(0, 1), GpuProcess(0, 2))

    async def test_a_missing_list_of_graphics_hides_no_computing(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        nvml.set_processes(0, [FakeProcess(7, 9)])
        nvml.fail(0, pynvml.NVML_ERROR_NOT_SUPPORTED, Call.GRAPHICS)
        nvml.fail(0, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, Call.MPS)
        assert (await sampled(inventory, nvml)).processes == (GpuProcess(7, 9),)

    async def test_without_the_list_of_computing_nobody_is_called_gone(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        nvml.set_processes(0, [FakeProcess(7, 9, Kind.GRAPHICS)])
        nvml.fail(0, pynvml.NVML_ERROR_NOT_SUPPORTED, Call.COMPUTE)
        await inventory.discover()
        assert await inventory.processes(nvml.uuid(0)) is None

    @pytest.mark.parametrize("told", [1, 64], ids=["grows", "shrinks"])
    async def test_the_list_changes_between_the_two_calls(
        self, inventory: NvmlInventory, nvml: FakeNvml, told: int
    ) -> None:
        everyone = [FakeProcess(pid, pid) for pid in range(1, 41)]
        nvml.set_processes(0, everyone)
        nvml.understate(0, told=told, times=2)
        await inventory.discover()
        found = await inventory.processes(nvml.uuid(0))
        assert found == tuple(GpuProcess(each.pid, each.memory) for each in everyone)

    async def test_a_list_that_outgrows_its_room_for_ever_is_a_fault(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        await inventory.discover()
        nvml.set_processes(0, [FakeProcess(pid, 0) for pid in range(1, 41)])
        nvml.understate(0, told=1, times=10**6)
        assert "Insufficient Size" in str((await inventory.sample())[nvml.uuid(0)].fault)

    async def test_a_sick_gpu_gives_no_answer_rather_than_a_wrong_one(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        await inventory.discover()
        nvml.fail(0, pynvml.NVML_ERROR_GPU_IS_LOST, Call.COMPUTE)
        with pytest.raises(Unavailable, match="GPU is lost: reset it"):
            await inventory.processes(nvml.uuid(0))
        with pytest.raises(Unavailable, match="GPU-of-nobody"):
            await inventory.processes("GPU-of-nobody")


class TestMig:
    async def test_instances_stand_in_for_their_card(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        first, second = nvml.add_instance(1), nvml.add_instance(1, memory_total=10 * GIB)
        gpus = await inventory.discover()
        assert [gpu.uuid for gpu in gpus] == [nvml.uuid(each) for each in (0, first, second, 2)]
        assert [gpu.index for gpu in gpus] == [0, 3, 4, 2]
        assert gpus[2] == GpuIdentity(nvml.uuid(second), 4, "Pretended GPU 1 MIG 1g.5gb", 10 * GIB, parent=nvml.uuid(1))

    async def test_each_instance_has_its_own_processes(self, inventory: NvmlInventory, nvml: FakeNvml) -> None:
        first, second = nvml.add_instance(0), nvml.add_instance(0)
        nvml.set_processes(second, [FakeProcess(7, GIB)])
        await inventory.discover()
        samples = await inventory.sample()
        assert samples[nvml.uuid(first)] == Sample(memory_used=0, processes=())
        assert samples[nvml.uuid(second)] == Sample(memory_used=GIB, processes=(GpuProcess(7, GIB),))
        assert await inventory.processes(nvml.uuid(second)) == (GpuProcess(7, GIB),)
        assert await inventory.processes(nvml.uuid(first)) == ()

    async def test_an_instance_that_is_destroyed_is_sick_and_its_siblings_are_not(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        first, second = nvml.uuid(nvml.add_instance(0)), nvml.uuid(nvml.add_instance(0))
        await inventory.discover()
        nvml.remove_last()
        samples = await inventory.sample()
        assert "no longer lists this GPU" in str(samples[second].fault)
        assert samples[first].fault is None
        with pytest.raises(Unavailable, match="no longer lists"):
            await inventory.processes(second)

    async def test_a_sick_card_takes_its_instances_along_and_no_other(
        self, inventory: NvmlInventory, nvml: FakeNvml
    ) -> None:
        instances = [nvml.uuid(nvml.add_instance(0)) for _ in range(2)]
        await inventory.discover()
        nvml.fail(0, pynvml.NVML_ERROR_GPU_IS_LOST)
        samples = await inventory.sample()
        assert {uuid for uuid, sample in samples.items() if sample.fault} == set(instances)

    async def test_mig_mode_without_an_instance(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        nvml = FakeNvml(tmp_path)
        nvml.set_mig_mode(0, on=True)
        for name, value in nvml.environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StartupRefused, match="MIG is on") as refused:
            await NvmlInventory(timeout=1).discover()
        assert "nvidia-smi mig" in refused.value.hint


async def test_names_of_another_process_stay_with_whom_it_concerns(inventory: NvmlInventory, nvml: FakeNvml) -> None:
    """User, command and container are for others to find out: the driver knows pids only."""
    nvml.set_processes(0, [FakeProcess(os.getpid(), 1)])
    processes = (await sampled(inventory, nvml)).processes
    assert processes is not None
    assert processes[0] == GpuProcess(os.getpid(), 1)
