"""The whole examination."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resight.doctor import folders, packages
from resight.doctor.finding import Finding
from resight.doctor.machine import machine
from resight.doctor.probes import PROBES, Found, probe_all
from resight.embedding.engines import auto
from resight.embedding.engines.make import PACKAGES, installed
from resight.embedding.versions import versions
from resight.models.loading import load


@dataclass(frozen=True)
class Health:
    """What :func:`examine` found.

    Attributes:
        facts: by section, name and value, in words.
        findings: what is broken or slow, with its cure; the broken first.
    """

    facts: dict[str, dict[str, str]]
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> bool:
        """Whether anything fails, rather than being slow."""
        return any(finding.kind == "broken" for finding in self.findings)

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def examine(progress: Callable[[int, int], None] = lambda done, total: None) -> Health:
    """Look at versions, processor, memory, GPU and folders, and try each part of resight once on a known result.

    Nothing is written outside of temporary folders. It takes some seconds for each part.

    Args:
        progress: called with how many parts are tried, and how many there are.
    """
    here = machine()
    engines = installed()
    names = [name for name in PROBES if not name.startswith("engine ") or name.removeprefix("engine ") in engines]
    tried = probe_all(names, progress)
    works = {name: one for name, one in tried.items() if not isinstance(one, Finding)}
    findings = [one for one in tried.values() if isinstance(one, Finding)]
    findings += packages.findings() + here.findings(os.environ) + folders.findings()
    findings += _of_gpu(works.get("gpu", {})) + _of_engines(set(engines), works)
    return Health(
        {
            "Versions": versions(),
            "Machine": here.facts() | {"GPU": _gpu_in_words(works.get("gpu"))},
            "Folders": folders.facts(),
            "Works": {
                name: "no" if isinstance(one, Finding) else one.get("works", "")
                for name, one in tried.items()
                if name != "gpu"
            },
            "Extras": {name: missing or "installed" for name, missing in packages.extras().items()},
        },
        tuple(sorted(findings, key=lambda finding: finding.kind)),
    )


def _gpu_in_words(found: Found | None) -> str:
    if found is None:
        return "does not work"
    if found["gpu"]:
        return found["gpu"]
    return f"none that torch can use; torch is built for {found['built for'] or 'the processor only'}"


def _of_gpu(found: Found) -> list[Finding]:
    """A GPU that is there and not used."""
    nvidia = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if found.get("gpu", "?") or not nvidia:
        return []
    if not found["built for"]:
        return [
            Finding(
                "slow",
                "There is an NVIDIA GPU, but torch is built for the processor only: pip uninstall torch, then "
                "pip install torch without the index of CPU builds.",
            )
        ]
    reason = found["reason"].rstrip(".") or "torch gives no reason"
    return [
        Finding(
            "slow",
            f"There is an NVIDIA GPU, but torch, built for CUDA {found['built for']}, cannot use it ({reason}): "
            "update the driver, or install the build of torch for this driver (pytorch.org/get-started).",
        )
    ]


def _of_engines(there: set[str], works: dict[str, Found]) -> list[Finding]:
    """On a machine without a GPU: no faster engine installed, or none measured."""
    if works.get("gpu", {}).get("gpu"):
        return []
    missing = [engine for engine in PACKAGES if engine not in there]
    if {"onnx", "openvino"} <= {*missing}:
        return [
            Finding(
                "slow",
                "Only the engine torch is installed; others embed images up to twice as fast on a processor: "
                "pip install 'resight[onnx,openvino]'.",
            )
        ]
    rates = auto.known(load(), 64)
    if rates:
        return []
    return [
        Finding(
            "slow",
            f"The engines are not measured on this machine with {torch.get_num_threads()} threads, so the first 512 "
            "images of the bundled model are embedded by torch: resight engines person --measure.",
        )
    ]
