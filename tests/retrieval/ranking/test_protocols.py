import pytest

from resight import DataError
from resight.retrieval.ranking import protocols


def test_every_protocol_is_found_by_its_name():
    assert set(protocols.PROTOCOLS) == {"market1501", "single_camera", "image_to_track"}
    for name, protocol in protocols.PROTOCOLS.items():
        assert protocols.get(name) is protocol and protocols.get(protocol) is protocol and protocol.name == name


@pytest.mark.parametrize(("typo", "near"), [("market", "market1501"), ("Single-Camera", "single_camera")])
def test_a_typo_gets_the_nearest_name(typo, near):
    with pytest.raises(DataError, match=f"did you mean '{near}'"):
        protocols.get(typo)


def test_a_stranger_gets_the_list():
    with pytest.raises(DataError, match="choose one of market1501, single_camera, image_to_track"):
        protocols.get("xyzzy")
