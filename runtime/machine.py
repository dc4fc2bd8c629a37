"""What this machine is, in words, for logs, cards, benchmarks and `dpiqa doctor`."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# What the kernel calls the instructions that multiply INT8 into 32-bit sums, and those that compute in bfloat16.
_INT8 = ("amx_int8", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "i8mm", "asimddp")
# That with which OpenVINO is faster than with FP32, and what oneDNN is told to use less of the CPU than that.
_FAST_INT8 = "avx2"
_WITHOUT = {"SSE41", "AVX"}
_BF16 = ("amx_bf16", "avx512_bf16", "bf16")


def processor() -> str:
    """The processor's name and the number of cores."""
    return f"{_cpuinfo('model name') or platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def int8_instructions() -> tuple[str, ...]:
    """The processor's instructions for exact and fast INT8, as Linux names them; none known elsewhere."""
    return _present(_INT8)


def int8_is_faster() -> bool:
    """Whether OpenVINO runs the shipped INT8 model faster than the FP32 one here.

    On x86 with AVX2 it does, VNNI or not; 64-bit Arm gains nothing.
    """
    limits = {os.environ.get("ONEDNN_MAX_CPU_ISA"), os.environ.get("DNNL_MAX_CPU_ISA")}
    return bool(_present((_FAST_INT8,))) and _WITHOUT.isdisjoint(limits)


def bf16_instructions() -> tuple[str, ...]:
    """The processor's instructions for bfloat16, as Linux names them; none known elsewhere."""
    return _present(_BF16)


def _present(names: tuple[str, ...]) -> tuple[str, ...]:
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    return tuple(name for name in names if name in flags)


def _cpuinfo(key: str) -> str:
    """The first value under a key of /proc/cpuinfo, empty where there is none."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
