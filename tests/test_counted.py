"""Numbers of things in words."""

import pytest

from resight.counted import counted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0, "picture"), "0 pictures"),
        ((1, "picture"), "1 picture"),
        ((1200, "picture"), "1,200 pictures"),
        ((1, "query", "queries"), "1 query"),
        ((2, "query", "queries"), "2 queries"),
    ],
)
def test_one_or_several(given: tuple[int, str], said: str) -> None:
    assert counted(*given) == said
