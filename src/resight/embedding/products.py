"""Matrix products for the ranks: on a GPU, or in half precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.errors import RecipeError, first_line

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TorchProducts:
    """Products computed by torch, to be passed as ``products=`` to ``evaluate`` or ``topk``; the result stays the same.

    Attributes:
        device: one of torch: "cuda", "cuda:1", "cpu", ...
        half: multiply float16 numbers. Twice as fast or more on a GPU, and as exact in the end: more pairs are too near
            to each other to distinguished, and compared again in float64.

    Raises:
        RecipeError: there is no such device here.
    """

    device: str
    half: bool = False

    def __post_init__(self) -> None:
        import torch

        try:
            torch.empty(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = first_line(error)
            raise RecipeError(
                f"device {self.device!r} cannot be used here ({reason}): leave it out, or name another."
            ) from None

    def error(self, dimensions: int, lengths: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
        """(Q,) by how much products may be off on top of what float32 does.

        float16 rounds by 2^-11 of a number, or by 2^-25 of very small ones: each coordinate of p_i and p_j once, and
        the product. Sums are made in float32.
        """
        if not self.half:
            return np.zeros_like(lengths)
        tiny = 2.0**-25 * dimensions**0.5
        rounded = 2.0**-11 * lengths + tiny, 2.0**-11 * longest + tiny
        products = 2 * (rounded[0] * (longest + rounded[1]) + lengths * rounded[1])
        off: NDArray[np.float64] = products + 2.0**-11 * (2 * lengths * longest + products) + 2.0**-24
        return off

    def multiplier(self, points: Floats) -> Callable[[Floats, Floats], None]:
        """A function that writes ``wanted @ points.T`` into its second argument.

        Raises:
            RecipeError: torch may round more on this GPU than :meth:`error` promises, by a switch of the program.
        """
        import torch

        kind = torch.float16 if self.half else torch.float32
        switch = "allow_fp16_reduced_precision_reduction" if self.half else "allow_tf32"
        if torch.device(self.device).type == "cuda" and getattr(torch.backends.cuda.matmul, switch):
            raise RecipeError(
                f"torch.backends.cuda.matmul.{switch} is on, with which products are not exact enough: set it to False "
                "before, or leave out products."
            )
        there = torch.from_numpy(points).to(self.device, kind).T

        def multiply(wanted: Floats, out: Floats) -> None:
            found = torch.from_numpy(wanted).to(self.device, kind) @ there
            torch.from_numpy(out).copy_(found)

        return multiply
