"""The rates between two cameras against a count of all pairs one by one."""

import numpy as np
import pytest

import resight
from reference.pairs import every_pair, people
from resight import Embeddings
from resight.decisions.camera_rates import camera_rates
from resight.decisions.decide import Decision
from resight.retrieval.ranking.distance import pairwise


@pytest.fixture(scope="module")
def decision() -> Decision:
    rng = np.random.default_rng(3)
    return resight.calibrate(people(rng, 60, cameras=3, noise=0.7), false_match_rate=2e-2, coverage=0.9)


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@pytest.mark.parametrize("both", [True, False])
def test_counted_one_by_one(decision: Decision, protocol: str, both: bool) -> None:
    images = people(np.random.default_rng(4), 24, cameras=4, noise=0.7)  # the calibration has not seen the fourth
    nobody = np.arange(len(images)) % 11
    identities = np.where(nobody == 0, 0, np.where(nobody == 1, -1, images.identities))
    images = Embeddings(images.vectors, identities, images.cameras, images.paths)
    query = images if both else images.take(np.arange(len(images)) % 3 == 0)
    distances = pairwise(query.vectors, images.vectors)
    everything = list(every_pair(query, images, distances, protocol))
    found = {one.cameras: one for one in camera_rates(decision, query, images, protocol)}

    def between(a: int, b: int) -> list[tuple[float, bool]]:
        cameras = [(int(query.cameras[q]), int(images.cameras[g]), d, same) for q, g, d, same in everything]
        return [(d, same) for x, y, d, same in cameras if (min(x, y), max(x, y)) == (a, b)]

    expected = {(a, b): between(a, b) for a in range(1, 5) for b in range(a, 5)}
    assert found.keys() == {cameras for cameras, pairs in expected.items() if pairs}
    for cameras, one in found.items():
        impostors = [d for d, same in expected[cameras] if not same]
        genuine = [d for d, same in expected[cameras] if same]
        copies = 2 if both else 1
        assert (one.genuine, one.impostors) == (len(genuine) // copies, len(impostors) // copies)
        within = np.array(impostors) <= decision.threshold
        assert one.fmr == (pytest.approx(within.mean()) if impostors else None)
        beyond = np.array(genuine) > decision.threshold
        assert one.fnmr == (pytest.approx(beyond.mean()) if genuine else None)
    if protocol == "market1501":
        assert found[1, 1].genuine == 0 and found[1, 1].fnmr is None


def test_without_cameras_there_is_nothing_to_tell(decision: Decision) -> None:
    images = people(np.random.default_rng(4), 10)
    nameless = Embeddings(images.vectors, images.identities)
    assert camera_rates(decision, nameless, nameless, "single_camera") == ()
