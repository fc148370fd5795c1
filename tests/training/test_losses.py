"""Losses and their gradients against plain loops and central differences."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reference import losses as reference
from resight.models.output import Output
from resight.training.losses.cross_entropy import cross_entropy
from resight.training.losses.triplet import batch_hard_triplet, distances
from resight.training.objective import objective
from resight.training.recipe import Loss

Array = NDArray[np.float64]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])


def slope(f: Callable[[Array], float], x: Array, step: float = 1e-6) -> Array:
    """The gradient of ``f`` at ``x`` by central differences."""
    out = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        out[at] = (f(up) - f(down)) / (2 * step)
    return out


def points(rows: int = 8, columns: int = 5, spread: float = 1.0) -> Array:
    """Float64 values that float32 holds exactly."""
    return (spread * np.random.default_rng(3).normal(size=(rows, columns))).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_cross_entropy(smoothing: float, spread: float) -> None:
    logits = points(columns=4, spread=spread)
    x = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    loss = cross_entropy(x, torch.tensor(LABELS), smoothing)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(reference.cross_entropy(logits, LABELS, smoothing), rel=1e-5)
    expected = slope(lambda z: reference.cross_entropy(z, LABELS, smoothing), logits)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=1e-6)


def test_label_smoothing_by_hand() -> None:
    """Two classes, p = (0.8, 0.2), label 0, smoothing 0.1: targets 0.95 and 0.05."""
    logits = torch.tensor([[0.8, 0.2]]).log()
    expected = -(0.95 * np.log(0.8) + 0.05 * np.log(0.2))
    assert float(cross_entropy(logits, torch.tensor([0]), 0.1)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("margin", [0.3, 0.0, 5.0, None])
@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_triplet(margin: float | None, spread: float) -> None:
    features = points(spread=spread)
    x = torch.tensor(features, dtype=torch.float32, requires_grad=True)
    loss = batch_hard_triplet(x, torch.tensor(LABELS), margin)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(
        reference.batch_hard_triplet(features, LABELS, margin), rel=1e-4, abs=1e-5
    )
    expected = slope(lambda z: reference.batch_hard_triplet(z, LABELS, margin), features)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=2e-4)
    assert np.abs(expected).max() > 0.01


def test_triplet_at_its_edges() -> None:
    x = torch.tensor(points(), dtype=torch.float32, requires_grad=True)
    alone = batch_hard_triplet(x, torch.zeros(8, dtype=torch.int64))
    assert float(alone.detach()) == 0.0  # nobody has a negative
    alone.backward()
    assert x.grad is not None and not x.grad.any()
    same = torch.ones((4, 3), requires_grad=True)
    loss = batch_hard_triplet(same, torch.tensor([0, 0, 1, 1]), 0.3)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.3, abs=1e-5)
    assert same.grad is not None and torch.isfinite(same.grad).all()
    singles = batch_hard_triplet(x.detach(), torch.arange(8), 0.3)  # the farthest positive is the anchor itself
    assert float(singles) == pytest.approx(reference.batch_hard_triplet(points(), np.arange(8), 0.3), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    x = torch.tensor(points(), dtype=torch.float32).to(dtype)
    exact = x.double().numpy()
    labels = torch.tensor(LABELS)
    assert float(batch_hard_triplet(x, labels)) == pytest.approx(reference.batch_hard_triplet(exact, LABELS), rel=1e-4)
    assert float(cross_entropy(x, labels)) == pytest.approx(reference.cross_entropy(exact, LABELS), rel=1e-5)


def test_distances() -> None:
    a, b = points(6), points(4) + 1
    expected = np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))
    np.testing.assert_allclose(distances(torch.tensor(a), torch.tensor(b)), expected, rtol=1e-5)


def test_the_objective_is_the_weighted_sum() -> None:
    features, logits, more = (torch.tensor(points(columns=n), dtype=torch.float32) for n in (6, 3, 3))
    output = Output(features, (features,), (logits, more * 2))
    losses = (Loss(name="cross_entropy", weight=0.5, smoothing=0.1), Loss(name="triplet", weight=2.0, margin=0.3))
    total, parts = objective(output, torch.tensor(LABELS), losses)
    identity = np.mean([reference.cross_entropy(z.double().numpy(), LABELS, 0.1) for z in output.logits])
    metric = reference.batch_hard_triplet(features.double().numpy(), LABELS, 0.3)
    assert float(parts["cross_entropy"]) == pytest.approx(identity, rel=1e-5)
    assert float(parts["triplet"]) == pytest.approx(metric, rel=1e-4)
    assert float(total) == pytest.approx(0.5 * identity + 2 * metric, rel=1e-4)
