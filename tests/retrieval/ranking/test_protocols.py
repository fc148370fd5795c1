import numpy as np
import pytest

from resight import DataError, Embeddings, evaluate
from resight.retrieval.ranking import protocols


def test_every_protocol_is_found_by_its_name():
    mars = {"mars_official", "mars_torchreid", "mars_joined"}
    images = {"market1501", "single_camera", "image_to_track", "reassociation"}
    assert set(protocols.PROTOCOLS) == images | mars | {"tracklets", "tracklets_single_camera"}
    for name, protocol in protocols.PROTOCOLS.items():
        assert protocols.get(name) is protocol and protocols.get(protocol) is protocol and protocol.name == name


@pytest.mark.parametrize(("typo", "near"), [("market", "market1501"), ("Single-Camera", "single_camera")])
def test_a_typo_gets_the_nearest_name(typo, near):
    with pytest.raises(DataError, match=f"did you mean '{near}'"):
        protocols.get(typo)


def test_a_stranger_gets_the_list():
    with pytest.raises(DataError, match="choose one of market1501, single_camera, image_to_track, tracklets"):
        protocols.get("xyzzy")


def test_cameras_as_text_and_as_numbers_are_not_compared() -> None:
    vectors, people = np.eye(4, dtype=np.float32), [1, 1, 2, 2]
    text = Embeddings(vectors, people, ["a", "b", "a", "b"])
    numbers = Embeddings(vectors, people, [1, 2, 1, 2])
    for query, gallery in ((text, numbers), (numbers, text)):
        with pytest.raises(DataError, match="pass both as text or both as numbers"):
            evaluate(query, gallery)
    assert evaluate(text, text).mAP == evaluate(numbers, numbers).mAP > 0
