"""The training losses as plain loops in float64, one image after the other."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cross_entropy(logits: Array, labels: NDArray[np.int64], smoothing: float = 0.0) -> float:
    """The smoothed target is ``1 - smoothing`` on the label plus ``smoothing / C`` on every class."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        log_sum = math.log(sum(math.exp(value - row.max()) for value in row)) + row.max()
        for c, value in enumerate(row):
            target = smoothing / len(row) + (1 - smoothing if c == label else 0.0)
            total -= target * (value - log_sum)
    return total / len(logits)


def batch_hard_triplet(features: Array, labels: NDArray[np.int64], margin: float | None = 0.3) -> float:
    """Farthest of the same identity against nearest of another, for every anchor that has another."""
    terms = []
    for a, anchor in enumerate(features):
        distance = [math.sqrt(sum((x - y) ** 2 for x, y in zip(anchor, other, strict=True))) for other in features]
        positives = [d for d, label in zip(distance, labels, strict=True) if label == labels[a]]
        negatives = [d for d, label in zip(distance, labels, strict=True) if label != labels[a]]
        if negatives:
            gap = max(positives) - min(negatives)
            terms.append(math.log1p(math.exp(gap)) if margin is None else max(0.0, gap + margin))
    return sum(terms) / len(terms) if terms else 0.0


def _distance(a: Array, b: Array) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def center(features: Array, labels: NDArray[np.int64], centers: Array) -> float:
    """Squared distance of each vector to its identity's centre, summed, over the batch size."""
    return sum(_distance(x, centers[y]) ** 2 for x, y in zip(features, labels, strict=True)) / len(features)


def weighted_triplet(features: Array, labels: NDArray[np.int64]) -> float:
    """Softmax-weighted positives against softmax-weighted negatives, every anchor."""
    terms = []
    for a, anchor in enumerate(features):
        pairs = [(_distance(anchor, other), label == labels[a]) for other, label in zip(features, labels, strict=True)]
        positives, negatives = [d for d, same in pairs if same], [d for d, same in pairs if not same]
        if negatives:
            near = sum(math.exp(d) * d for d in positives) / sum(math.exp(d) for d in positives)
            far = sum(math.exp(-d) * d for d in negatives) / sum(math.exp(-d) for d in negatives)
            terms.append(math.log1p(math.exp(near - far)))
    return sum(terms) / len(terms) if terms else 0.0


def elastic(features: Array, labels: NDArray[np.int64], margin: float, squared: bool) -> float:
    """The hinge of the hardest triplet, times its own sigmoid."""
    terms = []
    for a, anchor in enumerate(features):
        pairs = [(_distance(anchor, other), label == labels[a]) for other, label in zip(features, labels, strict=True)]
        pairs = [(d * d if squared else d, same) for d, same in pairs]
        negatives = [d for d, same in pairs if not same]
        if negatives:
            excess = max(0.0, margin + max(d for d, same in pairs if same) - min(negatives))
            terms.append(excess / (1 + math.exp(-excess)))
    return sum(terms) / len(terms) if terms else 0.0


def weighted_bce(logits: Array, truth: NDArray[np.uint8], positive: Array, negative: Array) -> float:
    """Every known answer's negative log likelihood times its weight, averaged over the known answers."""
    total, known = 0.0, 0
    for row, answers in zip(logits, truth, strict=True):
        for at, (logit, answer) in enumerate(zip(row, answers, strict=True)):
            if answer != 255:
                p = 1 / (1 + math.exp(-logit))
                total -= positive[at] * math.log(p) if answer else negative[at] * math.log(1 - p)
                known += 1
    return total / known


def kl_to_normal(mean: Array, log_variance: Array) -> float:
    """Divergence of N(mean, exp(log_variance)) from N(0, 1), averaged over entries."""
    pairs = zip(mean.ravel(), log_variance.ravel(), strict=True)
    return sum(-0.5 * (1 + v - m * m - math.exp(v)) for m, v in pairs) / mean.size


def neighbour_divergence(student: Array, teacher: Array, temperature: float) -> float:
    """For each image, softmaxes over the others of the cosines to them; the teacher's against the student's."""

    def cosine(x: Array, y: Array) -> float:
        dot = sum(p * q for p, q in zip(x, y, strict=True))
        return dot / math.sqrt(sum(p * p for p in x) * sum(q * q for q in y))

    def shares(vectors: Array, i: int) -> list[float]:
        heats = [math.exp(cosine(vectors[i], other) / temperature) for j, other in enumerate(vectors) if j != i]
        return [heat / sum(heats) for heat in heats]

    total = 0.0
    for i in range(len(student)):
        for p, q in zip(shares(teacher, i), shares(student, i), strict=True):
            total += p * math.log(p / q)
    return total / len(student)


def _cosine(x: Array, y: Array) -> float:
    dot = sum(p * q for p, q in zip(x, y, strict=True))
    return float(dot / math.sqrt(sum(p * p for p in x) * sum(q * q for q in y)))


def circle(features: Array, labels: NDArray[np.int64], margin: float, scale: float, held: Array | None = None) -> float:
    """Every image against the others; the factors are those of ``held``, whose gradient does not count."""
    held = features if held is None else held
    terms = []
    for a in range(len(features)):
        near, far = 0.0, 0.0
        for b in range(len(features)):
            s, still = _cosine(features[a], features[b]), _cosine(held[a], held[b])
            if labels[a] != labels[b]:
                far += math.exp(scale * max(0.0, still + margin) * (s - margin))
            elif a != b:
                near += math.exp(-scale * max(0.0, 1 + margin - still) * (s - 1 + margin))
        if near and far:
            terms.append(math.log1p(near * far))
    return sum(terms) / len(terms)


def multi_similarity(
    features: Array, labels: NDArray[np.int64], alpha: float, beta: float, base: float, epsilon: float
) -> float:
    """Pairs within epsilon of the hardest of the other kind, every image."""
    total = 0.0
    for a in range(len(features)):
        near = [_cosine(features[a], x) for b, x in enumerate(features) if b != a and labels[a] == labels[b]]
        far = [_cosine(features[a], x) for b, x in enumerate(features) if labels[a] != labels[b]]
        kept_near = [s for s in near if far and s - epsilon < max(far)]
        kept_far = [s for s in far if near and s + epsilon > min(near)]
        if kept_near and kept_far:
            total += math.log1p(sum(math.exp(-alpha * (s - base)) for s in kept_near)) / alpha
            total += math.log1p(sum(math.exp(beta * (s - base)) for s in kept_far)) / beta
    return total / len(features)


def margin_softmax(
    vectors: Array, prototypes: Array, labels: NDArray[np.int64], kind: str, margin: float, scale: float
) -> float:
    """ArcFace and CosFace: the angle or cosine to the own prototype is changed, then softmax."""
    total = 0.0
    for x, label in zip(vectors, labels, strict=True):
        logits = []
        for c, prototype in enumerate(prototypes):
            s = _cosine(x, prototype)
            if c == label and kind == "cosface":
                s -= margin
            elif c == label:
                angle = math.acos(max(-1.0, min(1.0, s))) + margin
                s = math.cos(angle) if angle < math.pi else s - margin * math.sin(margin)
            logits.append(scale * s)
        total += math.log(sum(math.exp(value - max(logits)) for value in logits)) + max(logits) - logits[label]
    return total / len(vectors)


def cluster_memory(
    vectors: Array, labels: NDArray[np.int64], memory: Array, temperature: float, momentum: float
) -> tuple[float, Array]:
    """The loss on the memory as it is, and the memory after one image after the other has moved it."""
    unit = [row / math.sqrt(sum(x * x for x in row)) for row in vectors]
    total = 0.0
    for row, label in zip(unit, labels, strict=True):
        scores = [float(row @ one) / temperature for one in memory]
        most = max(scores)
        total += math.log(sum(math.exp(score - most) for score in scores)) + most - scores[label]
    after = memory.copy()
    for row, label in zip(unit, labels, strict=True):
        moved = momentum * after[label] + (1 - momentum) * row
        after[label] = moved / math.sqrt(float(moved @ moved))
    return total / len(unit), after
