"""The NVIDIA GPU of this machine, asked of its driver: nothing of CUDA needs to be installed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
    """`compute_capability` as NVIDIA writes it, such as 8.6."""

    name: str
    compute_capability: str


def find_gpu() -> Gpu | None:
    """The first GPU, or None where there is none or its driver does not answer."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    if driver.cuDeviceGetName(name, len(name), device):
        return None
    version = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
            return None
        version.append(value.value)
    return Gpu(name.value.decode(errors="replace"), "{}.{}".format(*version))
