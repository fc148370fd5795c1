"""The GPU's benchmark runs, here on the CPU with tiny sizes."""

import argparse
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_its_parts_run_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    gpu = importlib.import_module("gpu")
    options = argparse.Namespace(device="cpu", tiny=True, models=[], root=Path("absent"))
    embedding = gpu.embedding(options)["osnet_x0_25"]
    assert embedding["least cosine of 16 bits with 32"] > 0.99
    rates = [value for name, value in embedding.items() if name.startswith(("pixels", "network alone"))]
    assert len(rates) == 3 and all(rate > 0 for rate in rates)
    retrieval = gpu.retrieval(options)
    assert retrieval["equal numbers"] is True
    assert sum("seconds" in name for name in retrieval) == 6
