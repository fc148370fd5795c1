"""Single files of other re-ID packages, loaded without importing the packages (which need far more than we test)."""

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn


def load_file(package: str, path: str) -> ModuleType:
    """The module in file ``path`` of the installed ``package``; the calling test is skipped where that is missing.

    Optional imports inside that file fail as if they were not installed, which both peers allow for.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed: pip install --no-deps {package}")
    file = Path(next(iter(spec.submodule_search_locations))) / path
    if not file.is_file():
        pytest.skip(f"the installed {package} has no file {path}")
    own = importlib.util.spec_from_file_location(f"peer_{package}_{file.stem}", file)
    assert own is not None and own.loader is not None
    module = importlib.util.module_from_spec(own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            own.loader.exec_module(module)
        except ImportError as error:
            pytest.skip(f"{file} needs something that is not installed: {error}")
    return module


def scramble(network: nn.Module) -> None:
    """Random statistics and affine parameters, so that no normalisation is near the identity."""
    generator = torch.Generator().manual_seed(1)
    for key, value in network.state_dict().items():
        if key.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif value.dim() == 1 and value.is_floating_point():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
