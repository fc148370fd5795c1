"""Processor, memory and their limits."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from resight.counted import counted
from resight.doctor.finding import Finding

FEATURES = (  # of those that the kernel lists, the ones that engines use
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "bf16", "sve", "i8mm"),
)
IN_16_BITS = {"avx512_bf16", "amx_bf16", "bf16"}
LITTLE_MEMORY = 2e9
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """What the machine has, and what this process may use of it.

    Attributes:
        model: of the processor, as the system names it.
        features: instruction sets, of :data:`FEATURES`; empty where the system does not list them.
        widest: the vector instructions that torch uses: ``AVX512``, ``AVX2``, ``DEFAULT``, ...
        processors: that this process may run on.
        quota: processors' worth of time that the container grants; None without a limit.
        threads: that torch computes with.
        memory: bytes in all, or the container's limit where that is less; None where unknown.
        free: bytes that can be had without swapping; None where unknown.
    """

    model: str
    features: tuple[str, ...]
    widest: str
    processors: int
    quota: float | None
    threads: int
    memory: int | None
    free: int | None

    def facts(self) -> dict[str, str]:
        """Each in words, for people."""
        limit = "" if self.quota is None else f", limited to the time of {self.quota:g} by the container"
        gigabytes = "" if self.memory is None else f"{self.memory / 1e9:.1f} GB"
        free = "" if self.free is None else f", {self.free / 1e9:.1f} GB free"
        half = "yes: --half is faster" if IN_16_BITS & {*self.features} else "no: --half is slower"
        return {
            "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
            "processor": self.model or "unknown",
            "processors": f"{self.processors}{limit}; torch uses {counted(self.threads, 'thread')}",
            "instructions": " ".join(self.features) or self.widest,
            "16-bit instructions": half if self.features else "unknown",
            "memory": gigabytes + free or "unknown",
        }

    def findings(self, environment: Mapping[str, str]) -> list[Finding]:
        """What makes computing slow; ``environment`` is that of the process."""
        usable = min(self.processors, math.ceil(self.quota or math.inf) if self.quota else self.processors)
        found = []
        if self.threads > usable:
            found.append(
                f"torch computes with {self.threads} threads, but only {usable} processors may be used, so threads "
                f"wait for each other: set the environment variable OMP_NUM_THREADS={usable}."
            )
        held = next((name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if environment.get(name)), "")
        if held and 2 * self.threads < usable:
            found.append(
                f"{held}={environment[held]} leaves {usable - self.threads} of {usable} processors without work: "
                f"unset {held}, or set it to {usable}."
            )
        if platform.machine().lower() in ("x86_64", "amd64") and self.widest in ("DEFAULT", "NO AVX"):
            found.append(
                "The processor has no AVX2, or the virtual machine hides it, so networks run several times slower: "
                "choose the processor type 'host' in the settings of the virtual machine, or another machine."
            )
        if self.free is not None and self.free < LITTLE_MEMORY:
            found.append(
                f"Only {self.free / 1e9:.1f} GB of memory are free, so the system may swap: close other programs, "
                "or choose smaller batches (--batch-size 16)."
            )
        return [Finding("slow", sentence) for sentence in found]


def machine() -> Machine:
    """This machine as this process sees it."""
    listed = _listed(Path("/proc/cpuinfo"))
    flags = set((listed.get("flags") or listed.get("Features") or "").split())
    affinity = getattr(os, "sched_getaffinity", None)
    memory = _listed(Path("/proc/meminfo"))
    total, free = (_kilobytes(memory.get(name)) for name in ("MemTotal", "MemAvailable"))
    limit, used = (_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit is not None and total is not None and free is not None:
        total, free = min(total, limit), max(0, min(free, limit - (used or 0)))
    return Machine(
        model=listed.get("model name", "") or platform.processor(),
        features=tuple(name for name in FEATURES if name in flags),
        widest=torch.backends.cpu.get_cpu_capability(),
        processors=len(affinity(0)) if affinity else os.cpu_count() or 1,
        quota=_quota(_CGROUP),
        threads=torch.get_num_threads(),
        memory=total,
        free=free,
    )


def _quota(cgroup: Path) -> float | None:
    """Processors' worth of time, by the second version of control groups or the first."""
    try:
        most, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        most, period = (str(_number(cgroup / "cpu" / f"cpu.cfs_{name}_us") or "max") for name in ("quota", "period"))
    if not (most.isdigit() and period.isdigit()):
        return None  # "max" is no limit, and so is -1 in the first version
    return int(most) / int(period)


def _listed(file: Path) -> dict[str, str]:
    """The first value of each name in a file of lines ``name : value``; empty where there is no such file."""
    found: dict[str, str] = {}
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _kilobytes(value: str | None) -> int | None:
    words = (value or "").split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
