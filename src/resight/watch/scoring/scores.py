"""All scores of tracks in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from resight.watch.measure import Boxed, identity_f1
from resight.watch.scoring.clear import clear
from resight.watch.scoring.hota import hota
from resight.watch.scoring.moments import Moments


@dataclass(frozen=True)
class Scores:
    """How good tracks are; rates are at most 1.

    Attributes:
        HOTA, DetA, AssA, LocA: see :mod:`resight.watch.scoring.hota`.
        IDF1, IDP, IDR: identity F1, precision and recall, see :mod:`resight.watch.measure`.
        MOTA, MOTP, switches, fragments, missed, wrong, mostly_tracked, mostly_lost: see
            :mod:`resight.watch.scoring.clear`.
        true_boxes, found_boxes, true, found: how many boxes and identities there are.
    """

    HOTA: float
    DetA: float
    AssA: float
    LocA: float
    IDF1: float
    IDP: float
    IDR: float
    MOTA: float
    MOTP: float
    switches: int
    fragments: int
    missed: int
    wrong: int
    mostly_tracked: int
    mostly_lost: int
    true_boxes: int
    found_boxes: int
    true: int
    found: int

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"HOTA {self.HOTA:.1%} (DetA {self.DetA:.1%}, AssA {self.AssA:.1%}, LocA {self.LocA:.1%})  "
            f"IDF1 {self.IDF1:.1%}  MOTA {self.MOTA:.1%}  {self.switches:,} switches  "
            f"{self.found:,} identities found, {self.true:,} true"
        )


def score(truth: Boxed, found: Boxed) -> Scores:
    """Compare found boxes and identities with the true ones.

    HOTA and IDF1 count an identity as one over all cameras; MOTA and what belongs to it are counted in every camera for
    itself and added up.
    """
    moments = Moments.of(truth, found)
    whole, boxes, same = hota(moments), clear(moments), identity_f1(truth, found)
    return Scores(
        whole.HOTA,
        whole.DetA,
        whole.AssA,
        whole.LocA,
        same.f1,
        same.precision,
        same.recall,
        boxes.MOTA,
        boxes.MOTP,
        boxes.switches,
        boxes.fragments,
        boxes.missed,
        boxes.wrong,
        boxes.mostly_tracked,
        boxes.mostly_lost,
        len(truth.who),
        len(found.who),
        same.true,
        same.found,
    )
