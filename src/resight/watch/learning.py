"""What is learnt while watching: travel times between cameras, and clocks that differ."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from resight.watch.clocks import Shift, clock_shifts, corrected
from resight.watch.link import NOTHING, Answers, Rules, Sighted
from resight.watch.timed import Linked, link_in_time
from resight.watch.travel import TravelTimes

REMEMBERED = 1000  # tracks


@dataclass
class Learning:
    """Grows from one round of links to the next.

    Attributes:
        times: how long people took between cameras.
        shifts: cameras whose clocks differ, as of the last round.
    """

    times: TravelTimes = field(default_factory=TravelTimes)
    shifts: list[Shift] = field(default_factory=list)
    _recent: deque[tuple[Sighted, NDArray[np.float32]]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def link(
        self,
        vectors: NDArray[np.float32],
        metric: str,
        threshold: float,
        seen: Sequence[Sighted],
        new: Sequence[int],
        rules: Rules,
        home: float,
        slope: float,
        answers: Answers = NOTHING,
    ) -> Linked:
        """The groups of T tracks; what is learnt comes from those that are ``new``.

        Arguments as for :func:`resight.watch.timed.link_in_time`.
        """
        self._recent.extend((seen[at], vectors[at].copy()) for at in new)  # a row would hold the whole array
        if not self._recent:
            return link_in_time(vectors, metric, threshold, seen, rules, home, self.times, slope, answers)
        before, known = [one for one, _ in self._recent], np.stack([vector for _, vector in self._recent])
        self.shifts = clock_shifts(known, metric, threshold, before, rules)
        right = corrected(seen, self.shifts)
        context = corrected(before, self.shifts), known
        found = link_in_time(vectors, metric, threshold, right, rules, home, self.times, slope, answers, context)
        fresh = set(new)
        self.times = self.times.with_links(right, [pair for pair in found.links if fresh & {*pair}], found.weight)
        return found
