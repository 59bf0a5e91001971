"""As much of the CUDA driver API as takes memory on a GPU, through ctypes: no toolkit, no framework."""

from __future__ import annotations

import ctypes
import uuid


class CudaError(Exception):
    """What libcuda answered."""


class Cuda:
    """libcuda of this process. It reads `CUDA_VISIBLE_DEVICES` here, once; do not fork afterwards."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise CudaError(f"no CUDA driver: {error}") from error
        self._call("cuInit", ctypes.c_uint(0))

    def uuids(self) -> list[str]:
        """Of every GPU that this process may use, without the prefix that tells cards from MIG instances."""
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        found = []
        for ordinal in range(count.value):
            number = (ctypes.c_ubyte * 16)()
            self._call("cuDeviceGetUuid_v2", ctypes.byref(number), self._device(ordinal))
            found.append(str(uuid.UUID(bytes=bytes(number))))
        return found

    def take(self, size: int, ordinal: int = 0) -> None:
        """Takes `size` bytes, which stay taken until this process ends."""
        context, address = ctypes.c_void_p(), ctypes.c_ulonglong()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device(ordinal))
        self._call("cuCtxSetCurrent", context)
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))

    def _device(self, ordinal: int) -> ctypes.c_int:
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(ordinal))
        return device

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(code, ctypes.byref(text))
            raise CudaError(f"{name}: {(text.value or str(code).encode()).decode()}")
