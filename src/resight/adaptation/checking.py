"""A labelled data set that shows whether an adaptation helped. It chooses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resight import datasets
from resight.datasets import Dataset
from resight.embedding.measure import measure
from resight.errors import DataError, TrainingError
from resight.images.cache import cache_folder
from resight.models.model import Model
from resight.retrieval.evaluation.compare import compare, intervals


@dataclass(frozen=True)
class Check:
    """A labelled data set, with queries and a gallery."""

    data: Dataset

    @classmethod
    def of(cls, given: Dataset | str | Path) -> Check:
        """The data set, or the one at a place.

        Raises:
            DataError: it has no queries.
        """
        data = given if isinstance(given, Dataset) else datasets.load(datasets.detect(given), given)
        if not len(data.query):
            raise DataError(f"{data.name} has no queries: the check needs labelled images of people by two cameras.")
        return cls(data)

    def refuse_other(self, done: dict[str, Any], folder: Path) -> None:
        """Refuse the result of a finished run in ``folder`` that was not checked on this data set.

        Raises:
            TrainingError: it was checked on another one, or not at all.
        """
        before = done.get("check", {})
        if before.get("fingerprint") != self.data.fingerprint():
            how = f"checked on another data set ({before['data']})" if before else "without a check"
            raise TrainingError(
                f"{folder} holds a finished adaptation {how}: measure it with resight compare MODEL {folder} DATA, or "
                "use another --output."
            )

    def measure(self, before: Model, after: Model, device: str, say: Callable[[str], None]) -> dict[str, Any]:
        """Both models on it, with 95% intervals by people, as ``metrics.json`` holds them."""
        ways = {"engine": "torch", "device": device, "cache": cache_folder()}
        one, other = (measure(model, self.data, **ways)[2] for model in (before, after))  # type: ignore[arg-type]
        sure = {"before": intervals(one), "after": intervals(other)}
        for name in sure:
            say(f"{self.data.name} {name}: mAP {sure[name]['mAP']}, R1 {sure[name]['R1']}")
        difference = compare(one, other)
        say(f"difference in mAP {difference.mAP}, p = {difference.p_value:.3g}")
        return {
            "data": self.data.name,
            "fingerprint": self.data.fingerprint(),
            "before": one.numbers() | {"intervals": {key: asdict(value) for key, value in sure["before"].items()}},
            "after": other.numbers() | {"intervals": {key: asdict(value) for key, value in sure["after"].items()}},
            "difference": difference.numbers(),
        }
