"""Losses and their gradients against plain loops and central differences."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from peers import load_file
from reference import losses as reference
from resight.errors import DataError, ModelError
from resight.models.output import Output
from resight.training.losses import LOSSES, CrossEntropy, Facts, Loss, Target, Triplet
from resight.training.losses.attributes import Attributes, positive_ratios, weighted_bce
from resight.training.losses.center import Center, center_loss
from resight.training.losses.circle import Circle, circle_loss
from resight.training.losses.cluster_memory import ClusterMemory
from resight.training.losses.cross_entropy import cross_entropy
from resight.training.losses.elastic import Elastic, elastic, elastic_weight
from resight.training.losses.given_triplets import GivenTriplets
from resight.training.losses.margin_softmax import MarginSoftmax, margin_logits
from resight.training.losses.multi_similarity import MultiSimilarity, multi_similarity
from resight.training.losses.triplet import batch_hard_triplet, distances
from resight.training.losses.vae import VAE, kl_to_normal
from resight.training.losses.weighted_triplet import weighted_triplet
from resight.training.objective import objective

Array = NDArray[np.float64]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])


def target(**more: torch.Tensor) -> Target:
    return Target(torch.tensor(LABELS), torch.zeros(8, 3, 4, 4))._replace(**more)


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
    losses = (CrossEntropy(weight=0.5, smoothing=0.1), Triplet(weight=2.0, margin=0.3))
    total, parts = objective(output, target(), losses, ({}, {}))
    identity = np.mean([reference.cross_entropy(z.double().numpy(), LABELS, 0.1) for z in output.logits])
    metric = reference.batch_hard_triplet(features.double().numpy(), LABELS, 0.3)
    assert float(parts["cross_entropy"]) == pytest.approx(identity, rel=1e-5)
    assert float(parts["triplet"]) == pytest.approx(metric, rel=1e-4)
    assert float(total) == pytest.approx(0.5 * identity + 2 * metric, rel=1e-4)


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_weighted_triplet(spread: float) -> None:
    features = points(spread=spread)
    x = torch.tensor(features, dtype=torch.float32, requires_grad=True)
    loss = weighted_triplet(x, torch.tensor(LABELS))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(reference.weighted_triplet(features, LABELS), rel=1e-4)
    expected = slope(lambda z: reference.weighted_triplet(z, LABELS), features)
    np.testing.assert_allclose(x.grad, expected, rtol=2e-3, atol=2e-4)


def test_weighted_triplet_where_nobody_has_a_negative() -> None:
    x = torch.tensor(points(), dtype=torch.float32, requires_grad=True)
    loss = weighted_triplet(x, torch.zeros(8, dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == 0.0 and x.grad is not None and not x.grad.any()


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("margin", [0.3, 2.0])
def test_elastic(squared: bool, margin: float) -> None:
    features = points()
    x = torch.tensor(features, dtype=torch.float32, requires_grad=True)
    loss = elastic(x, torch.tensor(LABELS), margin, squared=squared)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(reference.elastic(features, LABELS, margin, squared), rel=1e-4)
    expected = slope(lambda z: reference.elastic(z, LABELS, margin, squared), features)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=1e-3)


def test_elastic_by_hand() -> None:
    """Four points on a line: 0 and 1 are one person, 3 and 5 another; plain distances, margin 2.

    Anchor 0: 2 + 1 - 3 = 0. Anchor 1: 2 + 1 - 2 = 1. Anchor 3: 2 + 2 - 2 = 2. Anchor 5: 2 + 2 - 4 = 0.
    """
    x = torch.tensor([[0.0], [1.0], [3.0], [5.0]], requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    s1, s2 = 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2))
    loss = elastic(x, labels, 2.0, squared=False)
    assert float(loss.detach()) == pytest.approx((1 * s1 + 2 * s2) / 4, abs=1e-5)
    loss.backward()
    whole = x.grad.clone()  # type: ignore[union-attr]
    x.grad = None
    detached = elastic(x, labels, 2.0, squared=False, detach=True)
    assert float(detached.detach()) == pytest.approx(float(loss.detach()))
    detached.backward()
    # the gap of anchor 3 is d(3, 5) - d(3, 1), which falls by 0 with x_3 and grows with x_5: only that anchor moves x_5
    slope_of = s2 + 2 * s2 * (1 - s2)
    assert float(whole[3]) == pytest.approx(slope_of / 4, abs=1e-4)
    assert x.grad is not None and float(x.grad[3]) == pytest.approx(s2 / 4, abs=1e-4)
    weights = elastic_weight(torch.tensor([0.0, 1.0, 50.0]))
    assert weights.tolist() == pytest.approx([0.5, s1, 1.0])


def test_center_and_the_way_its_centres_move() -> None:
    features, centers = points(columns=5), points(rows=3, columns=5) / 2
    x = torch.tensor(features, dtype=torch.float32, requires_grad=True)
    loss = center_loss(x, torch.tensor(LABELS), torch.tensor(centers, dtype=torch.float32))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(reference.center(features, LABELS, centers), rel=1e-5)
    expected = slope(lambda z: reference.center(z, LABELS, centers), features)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=1e-4)
    spec = Center(rate=0.5)
    memory = spec.state(Facts(LABELS, None, (5,)))
    assert memory["centers0"].shape == (3, 5)
    memory["centers0"].copy_(torch.tensor(centers, dtype=torch.float32))
    value = spec(Output(x, (x,)), target(), memory)
    assert float(value.detach()) == pytest.approx(float(loss.detach()))
    down = slope(lambda c: reference.center(features, LABELS, c), centers)
    np.testing.assert_allclose(memory["centers0"], centers - 0.5 * down, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", ["acpr", "pos_neg", "none"])
def test_weighted_bce_of_attributes(mode: str) -> None:
    logits = points(columns=3, spread=2.0)
    truth = (np.random.default_rng(0).random((8, 3)) < 0.4).astype(np.uint8)
    truth[2] = 255
    known = [row for row, label in enumerate(LABELS) if row != 2]
    people = [next(row for row in known if LABELS[row] == label) for label in (0, 1, 2)]
    p = truth[people].mean(0)
    np.testing.assert_allclose(positive_ratios(truth, LABELS, per="identity"), p)
    np.testing.assert_allclose(positive_ratios(truth, LABELS, per="image"), truth[known].mean(0))
    yes = {"acpr": np.exp(-p), "pos_neg": np.exp(1 - p), "none": np.ones(3)}[mode]
    no = {"acpr": np.exp(-p), "pos_neg": np.exp(p), "none": np.ones(3)}[mode]
    spec = Attributes(mode=mode)  # type: ignore[arg-type]
    memory = spec.state(Facts(LABELS, truth, ()))
    x = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    loss = spec(Output(x, attributes=x), target(attributes=torch.tensor(truth)), memory)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(reference.weighted_bce(logits, truth, yes, no), rel=1e-5)
    expected = slope(lambda z: reference.weighted_bce(z, truth, yes, no), logits)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=1e-6)
    same = weighted_bce(x, torch.tensor(truth), memory["positive"], memory["negative"])
    assert torch.equal(same, loss)


def test_what_the_attribute_loss_needs() -> None:
    with pytest.raises(DataError, match=r"needs data with attributes: use data\.name market1501_attributes"):
        Attributes().state(Facts(LABELS, None, ()))
    with pytest.raises(DataError, match="needs a model with attributes"):
        Attributes()(Output(torch.zeros(8, 2)), target(), {})


def test_the_terms_of_an_autoencoder() -> None:
    mean, log_variance = points(columns=4), points(columns=4, spread=0.5)
    ours = kl_to_normal(torch.tensor(mean), torch.tensor(log_variance))
    assert float(ours) == pytest.approx(reference.kl_to_normal(mean, log_variance), rel=1e-5)
    assert float(kl_to_normal(torch.zeros(2, 3), torch.zeros(2, 3))) == 0.0
    image = torch.tensor(points(8, 48), dtype=torch.float32).view(8, 3, 4, 4)
    output = Output(image, reconstruction=image + 0.5, latent=(torch.tensor(mean), torch.tensor(log_variance)))
    found = VAE(kl=0.1)(output, target(images=image), {})
    assert float(found) == pytest.approx(0.25 + 0.1 * reference.kl_to_normal(mean, log_variance), rel=1e-5)
    with pytest.raises(ModelError, match="needs a model that reconstructs its input"):
        VAE()(Output(image), target(), {})


def test_given_triplets_by_hand() -> None:
    """Distances 1 and 3, then 2 and 2.5, with margin 1: (0 + 0.5) / 2."""
    x = torch.tensor([[0.0], [1.0], [3.0], [0.0], [2.0], [-2.5]])
    found = GivenTriplets(margin=1.0)(Output(x, (x,)), target(), {})
    assert float(found) == pytest.approx(0.25, abs=1e-5)


def test_descriptors_are_averaged() -> None:
    """A loss on several features is the mean of the losses on each."""
    parts = tuple(torch.tensor(points(columns=4) * s, dtype=torch.float32) for s in (0.5, 1.0, 2.0))
    output = Output(parts[0], parts)
    found = Elastic(margin=0.5)(output, target(), {})
    each = [reference.elastic(x.double().numpy(), LABELS, 0.5, True) for x in parts]
    assert float(found) == pytest.approx(np.mean(each), rel=1e-4)
    on_the_sphere = Elastic(margin=0.5, normalise=True)(output, target(), {})
    unit = parts[0].double().numpy() / np.linalg.norm(parts[0].double().numpy(), axis=1, keepdims=True)
    assert float(on_the_sphere) == pytest.approx(reference.elastic(unit, LABELS, 0.5, True), rel=1e-4)


@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_circle(scale: float) -> None:
    features = points()
    x = torch.tensor(features, dtype=torch.float32, requires_grad=True)
    loss = circle_loss(x, torch.tensor(LABELS), 0.25, scale)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(reference.circle(features, LABELS, 0.25, scale), rel=1e-4)
    expected = slope(lambda z: reference.circle(z, LABELS, 0.25, scale, held=features), features)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=2e-4)
    theirs = load_file("fastreid", "modeling/losses/circle_loss.py")
    peer = theirs.pairwise_circleloss(x.detach(), torch.tensor(LABELS), 0.25, scale)
    assert float(loss.detach()) == pytest.approx(float(peer), rel=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 3.0])
def test_multi_similarity(epsilon: float) -> None:
    features = points()
    x = torch.tensor(features, dtype=torch.float32, requires_grad=True)
    loss = multi_similarity(x, torch.tensor(LABELS), epsilon=epsilon)
    loss.backward()
    wanted = reference.multi_similarity(features, LABELS, 2.0, 50.0, 0.5, epsilon)
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-4)
    expected = slope(lambda z: reference.multi_similarity(z, LABELS, 2.0, 50.0, 0.5, epsilon), features)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("loss", [Circle(), MultiSimilarity()])
def test_images_without_a_pair_do_not_spoil_a_batch(loss: Loss) -> None:
    """One identity alone, and identities of one image each: the loss is 0 and so is its gradient."""
    for labels in (torch.zeros(8, dtype=torch.int64), torch.arange(8)):
        x = torch.tensor(points(), dtype=torch.float32, requires_grad=True)
        found = loss(Output(x, (x,)), target()._replace(labels=labels), {})
        found.backward()
        assert float(found.detach()) == 0.0 and x.grad is not None and not x.grad.any()


@pytest.mark.parametrize("kind", ["arcface", "cosface", "circle"])
def test_margin_softmax(kind: Literal["arcface", "cosface", "circle"]) -> None:
    vectors, spec = points(), MarginSoftmax(kind=kind, scale=8.0)
    memory = spec.state(Facts(LABELS, None, (5,), embedding=5))
    prototypes = memory["prototypes"].detach()
    prototypes[0] = -torch.tensor(vectors[0])  # an angle of pi, beyond which the margin leads
    x = torch.tensor(vectors, dtype=torch.float32, requires_grad=True)
    loss = spec(Output(x, (x,)), target(), memory)
    loss.backward()
    assert torch.isfinite(x.grad).all() and memory["prototypes"].grad.abs().max() > 0  # type: ignore[arg-type, union-attr]
    if kind != "circle":
        margin = {"arcface": 0.5, "cosface": 0.35}[kind]
        wanted = reference.margin_softmax(vectors, prototypes.double().numpy(), LABELS, kind, margin, 8.0)
        assert float(loss.detach()) == pytest.approx(wanted, rel=1e-4)
    layers = load_file("fastreid", "layers/any_softmax.py")
    peer = {"arcface": layers.ArcSoftmax, "cosface": layers.CosSoftmax, "circle": layers.CircleSoftmax}[kind]
    cosines = torch.linspace(-0.8, 0.95, 24).view(8, 3)  # where arcface's margin stays below pi
    own = torch.tensor(LABELS)
    ours = 8.0 * margin_logits(cosines, own, kind, 0.35)
    torch.testing.assert_close(ours, peer(3, 8.0, 0.35)(cosines.clone(), own), rtol=1e-5, atol=1e-5)


def test_every_loss_has_a_name_and_words() -> None:
    for name, loss in LOSSES.items():
        assert loss(name=name).name == name and loss.__doc__


@pytest.mark.parametrize("momentum", [0.1, 0.6])
def test_cluster_memory(momentum: float) -> None:
    vectors = points()
    labels = np.array([1, 0, 1, 2, 1, 0, 3, 2])  # in any order, some several times
    rng = np.random.default_rng(1)
    memory = rng.normal(size=(5, 5))
    memory = (memory / np.linalg.norm(memory, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    loss = ClusterMemory(temperature=0.2, momentum=momentum)
    state = {"clusters": torch.tensor(memory, dtype=torch.float32)}
    x = torch.tensor(vectors, dtype=torch.float32, requires_grad=True)
    value = loss(Output(x), Target(torch.tensor(labels), torch.zeros(8, 3, 4, 4)), state)
    value.backward()
    expected, after = reference.cluster_memory(vectors, labels, memory, 0.2, momentum)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(state["clusters"], after, atol=1e-5)
    gradient = slope(lambda z: reference.cluster_memory(z, labels, memory, 0.2, momentum)[0], vectors)
    np.testing.assert_allclose(x.grad, gradient, rtol=1e-3, atol=1e-5)
