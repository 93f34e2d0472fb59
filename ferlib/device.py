"""The machine a run is on: device, precision, random streams, what a record says about it."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ferlib import __version__
from ferlib.errors import BadUsage, FerlibError


def resolve_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU; FerlibError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise FerlibError(f"unknown device {name!r}; use auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise FerlibError(
            "device 'cuda' asked for, but torch sees no CUDA device; choose the device cpu or auto"
        )
    try:
        torch.zeros(1, device=device).item()
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # streams and graphs are of the current device
    except Exception as error:
        raise FerlibError(f"device {name!r} cannot be used here ({type(error).__name__}); try cpu") from None
    return device


def use_threads(number: int) -> None:
    """So many CPU threads; 0 leaves it to torch. BadUsage for fewer."""
    if number < 0:
        raise BadUsage("--threads must not be negative")
    if number:
        torch.set_num_threads(number)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 where the device multiplies matrices in it, else float32."""
    if name == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        name = "bfloat16" if fast else "float32"
    if name not in ("float32", "bfloat16"):
        raise FerlibError(f"unknown precision {name!r}; use auto, float32 or bfloat16")
    if device.type == "cuda" and name == "float32":
        torch.backends.cudnn.allow_tf32 = False  # else convolutions round their inputs to ten bits
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def stream(seed: int, purpose: str, epoch: int = 0) -> int:
    """A seed of its own for each purpose and epoch: changing one part never reshuffles another."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), epoch]).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def generator(seed: int, purpose: str, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device=device).manual_seed(stream(seed, purpose, epoch))


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "CPU"


def environment(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What a record says of the machine: all that may change the last bits of its numbers."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    return {
        "device": name,
        "kind": device.type,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "precision": str(dtype).removeprefix("torch."),
        "deterministic": device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        "ferlib": __version__,
    }


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks instead of returning them to the system after every layer.

    Large tensors are otherwise mapped and unmapped anew in each step; on a CPU this costs a tenth or
    more of the time (measured with `se_cnn`). Other platforms are left alone.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL("libc.so.6").mallopt
            for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # mmap max, trim threshold, top pad
                mallopt(option, value)
