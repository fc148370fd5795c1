"""Who appears in these pictures: unlabelled embeddings put into groups, one per identity, and how right groups are.

Shape letters: ``N`` images.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.clustering.linkage import link
from resight.errors import DataError
from resight.from_zero import person_zero
from resight.records import DISTRACTOR, Embeddings
from resight.retrieval.ranking.arguments import check_embeddings, check_threshold, choose_metric
from resight.retrieval.ranking.rank import MEMORY


def group(
    embeddings: Embeddings, threshold: float, metric: str | None = None, *, memory: int = MEMORY
) -> NDArray[np.int64]:
    """The group of each image, (N,) int64 from 0 on, numbered by their first image.

    Average linkage, see :mod:`resight.clustering.linkage`: two groups join if the average distance between their images
    is at most ``threshold``. One wrong pair therefore does not chain two people together, as it would with connected
    components. The result depends on the images and their order alone.

    Args:
        embeddings: N images.
        threshold: a distance of ``metric`` up to which two images count as the same, from a calibration; 0 or more.
        metric: "euclidean" or "cosine"; None for that of the embeddings' model, cosine where it is unknown.
        memory: bytes for a block of distances; 100 MB for pairs come on top. It changes the speed alone.

    Raises:
        DataError: no images, a threshold that is negative or not finite, or vectors that the metric refuses.
    """
    check_embeddings(embeddings=embeddings)
    if not len(embeddings):
        raise DataError("There are no images to group: pass some embeddings.")
    threshold, metric = check_threshold(threshold), choose_metric(metric, embeddings, default="cosine")
    return _number(link(embeddings, threshold, metric, memory))


@dataclass(frozen=True)
class Grouping:
    """How right groups are, where the identities are known.

    Attributes:
        precision: of all pairs of images in one group, the share that are of one identity.
        recall: of all pairs of images of one identity, the share that are in one group.
        f1: their harmonic mean.
        adjusted_rand: the adjusted Rand index (Hubert and Arabie 1985): 1 is perfect, 0 what chance gives.
        images, identities, groups: how many there are.
    """

    precision: float
    recall: float
    f1: float
    adjusted_rand: float
    images: int
    identities: int
    groups: int

    def numbers(self) -> dict[str, Any]:
        """The measures ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.images:,} images of {self.identities:,} identities in {self.groups:,} groups: pairwise precision "
            f"{self.precision:.2%}, recall {self.recall:.2%}, F1 {self.f1:.2%}, adjusted Rand index "
            f"{self.adjusted_rand:.2%}"
        )


def measure_groups(groups: ArrayLike, identities: ArrayLike) -> Grouping:
    """Compare groups with identities; junk (-1) and distractors (0 beside junk) do not count.

    Args:
        groups: (N,) integers; identities: (N,) integers.

    Raises:
        DataError: shapes that differ, or no known identity.
    """
    found, who = np.asarray(groups), np.asarray(identities)
    if found.ndim != 1 or found.shape != who.shape:
        raise DataError(
            f"Groups of shape {found.shape} do not go with identities of shape {who.shape}: pass (N,) both."
        )
    known = (who > DISTRACTOR) | ((who == DISTRACTOR) & person_zero(who))
    found, who = found[known], who[known]
    if not len(who):
        raise DataError("No image has a known identity, so the groups cannot be measured: pass identities above 0.")
    from sklearn.metrics import adjusted_rand_score
    from sklearn.metrics.cluster import pair_confusion_matrix

    (_, wrong), (missed, right) = pair_confusion_matrix(who, found).tolist()
    return Grouping(
        precision=right / (right + wrong) if right + wrong else 1.0,
        recall=right / (right + missed) if right + missed else 1.0,
        f1=2 * right / (2 * right + wrong + missed) if right + wrong + missed else 1.0,
        adjusted_rand=float(adjusted_rand_score(who, found)),
        images=len(who),
        identities=len(np.unique(who)),
        groups=len(np.unique(found)),
    )


def _number(representatives: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups numbered from 0 in the order of their first image."""
    _, first, inverse = np.unique(representatives, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return place[inverse]
