"""Which engine is the fastest for a model on this machine, and a module that finds out by itself.

What was measured is kept in ``engines/measured.json`` of the cache folder, for each model, batch size, number of
threads and set of versions. When engines are timed, the logger ``resight.embedding`` says so (level INFO).
"""

from __future__ import annotations

import copy
import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from resight.embedding.engines.convert import example, identity
from resight.embedding.engines.half import Half
from resight.embedding.engines.make import build, engines_of, installed
from resight.errors import ResightError
from resight.files import write_text
from resight.images.cache import engines_folder
from resight.models.exported import PIECE, Exported
from resight.models.model import Model
from resight.models.output import Output
from resight.models.runtimes import making_ready, openvino_works

PATIENCE = 512  # images that torch computes before others are tried; converting and measuring cost about as many
ROUNDS = 4
CPU = torch.device("cpu")

LOG = logging.getLogger("resight.embedding")

Rates = dict[str, float]  # images per second


class Auto(nn.Module):
    """A model's function on the CPU, by whichever engine is the fastest.

    If that was measured before, it is used from the first image on. If not, the first :data:`PATIENCE` images are
    computed by torch with a copy of the network; then every engine that is installed is prepared and timed, which
    takes about as long as those images, and the fastest goes on. A few images never pay for it. Any number of threads
    may use it, and a forked process, where OpenVINO does not work, chooses among the others.
    """

    def __init__(self, model: Model, batch_size: int, half: bool) -> None:
        super().__init__()
        self.model, self.batch_size, self.in_half = model, batch_size, half
        self._seen = 0  # about: threads that add at the same time may lose some
        self.engine: str | None
        if isinstance(model.network, Exported):
            self.engine = next(iter(engines_of(model, half)), model.network.runtime)
        else:
            self.engine = fastest(known(model, batch_size, half))
        self.chosen: nn.Module | None = None
        self._plain: nn.Module | None = None
        if self.engine is not None:
            self.chosen = build(model, self.engine, CPU, half=half)
        else:
            copied: nn.Module = copy.deepcopy(model.network).eval()
            copied = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._plain = Half(copied) if half else copied

    def forward(self, x: Tensor) -> Output:
        """(B, 3, H, W) float32 in main memory, prepared as the card says."""
        chosen = self.chosen
        if (chosen is None and self._seen >= PATIENCE) or self._is_lost():
            with making_ready:
                if self.chosen is None or self._is_lost():
                    self._choose()
            chosen = self.chosen
        self._seen += len(x)
        output: Output = (chosen or self._plain)(x)  # type: ignore[misc]
        return output

    def _is_lost(self) -> bool:
        return self.engine == "openvino" and not openvino_works() and not isinstance(self.model.network, Exported)

    def _choose(self) -> None:
        rates = known(self.model, self.batch_size, self.in_half)
        rates = rates or measure(self.model, self.batch_size, self.in_half)
        engine = fastest({one: rate for one, rate in rates.items() if one in engines_of(self.model, self.in_half)})
        self.chosen = build(self.model, engine or "torch", CPU, half=self.in_half).eval()
        self.engine, self._plain = engine, None


def fastest(rates: Rates) -> str | None:
    """The engine with the most images per second, or None if nothing was measured."""
    return max(rates, key=lambda engine: rates[engine], default=None)


def measure(model: Model, batch_size: int, half: bool = False, *, rounds: int = ROUNDS) -> Rates:
    """Images per second of every engine that can compute the model here, taking turns; the result is kept.

    The median of the rounds after one to warm up, on noise; a large batch is measured by a part that gives every thread
    two pieces. An engine that cannot compute this model is left out.
    """
    images = example(model, min(batch_size, 2 * PIECE * torch.get_num_threads()))
    networks: dict[str, nn.Module] = {}
    LOG.info("Timing the engines with this model, once on this machine; this takes some seconds.")
    for engine in engines_of(model, half):
        try:
            networks[engine] = build(model, engine, CPU, half=half)
        except ResightError:  # also where its file cannot be written
            continue
    took: dict[str, list[float]] = {engine: [] for engine in networks}
    with torch.inference_mode():
        for _ in range(rounds + 1):
            for engine, network in networks.items():
                began = time.perf_counter()
                network(images)
                took[engine].append(time.perf_counter() - began)
    rates = {engine: len(images) / median(times[1:]) for engine, times in took.items()}
    _keep(_key(model, batch_size, half), rates)
    return rates


def known(model: Model, batch_size: int, half: bool = False) -> Rates:
    """What :func:`measure` found here before for this model and batch size; empty if it did not measure them."""
    return _read().get(_key(model, batch_size, half), {})


def _key(model: Model, batch_size: int, half: bool) -> str:
    packages = {package: version for one in installed().values() for package, version in one.items()}
    versions = " ".join(f"{package} {version}" for package, version in sorted(packages.items()))
    bits = ", 16 bits" if half else ""
    return f"{identity(model)}, batch {batch_size}{bits}, {torch.get_num_threads()} threads, {versions}"


def _read() -> dict[str, Rates]:
    try:
        found: dict[str, Rates] = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nothing measured yet, or damaged: it can be measured again
        return {}
    return found


def _keep(key: str, rates: Rates) -> None:
    with suppress(ResightError):  # a place that cannot be written: it is measured again the next time
        write_text(_file(), json.dumps(_read() | {key: rates}, indent=2) + "\n")


def _file() -> Path:
    return engines_folder() / "measured.json"
