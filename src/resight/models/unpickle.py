"""Torch files that hold more than tensors, read without running code.

``torch.load(weights_only=True)`` refuses files with NumPy scalars, which training programs write beside the weights
(torchreid: ``rank1``). This reader knows tensors, plain containers, NumPy scalars and dtypes, and nothing else; unlike
``torch.serialization.safe_globals`` it changes no state of the process.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

KNOWN = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("torch", "device"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),  # of the bytes of a scalar
    ("builtins", "set"),
    ("builtins", "bytearray"),
}


class _Unpickler(pickle.Unpickler):
    """Only the constructors of data; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        known = (module, name) in KNOWN
        if module == "torch":
            known = known or name.endswith("Storage") or isinstance(getattr(torch, name, None), torch.dtype)
        known = known or (module == "numpy.dtypes" and name.endswith("DType") and name.isidentifier())
        if not known:
            raise pickle.UnpicklingError(f"{module}.{name} is not data")
        return super().find_class(module, name)


def load(file: Path) -> object:
    """The content of a torch file, on the CPU.

    Raises:
        pickle.UnpicklingError: it holds something other than data. Damaged files fail in other ways, as in torch.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        module = SimpleNamespace(Unpickler=_Unpickler, load=_refuse, __name__="pickle")
        return torch.load(file, map_location="cpu", weights_only=False, pickle_module=module)


def _refuse(*_: Any, **__: Any) -> None:
    raise pickle.UnpicklingError("the old torch format, with something other than tensors")
