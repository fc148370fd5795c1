import itertools
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resight.report import plots


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 8))
def test_ticks_enclose_the_range_and_are_few_and_even(low, width, most):
    assume(width > 1e-6 * abs(low))
    high = low + width
    found = plots.ticks(low, high, most)
    assert 2 <= len(found) <= most
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step and found[-1] >= high - 1e-6 * step
    for a, b in itertools.pairwise(found):
        assert b - a == pytest.approx(step, rel=1e-6, abs=1e-9 * max(abs(found[0]), abs(found[-1])))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (3, 3, [2.6, 2.8, 3, 3.2, 3.4])],
)
def test_ticks_are_round(low, high, expected):
    assert plots.ticks(low, high) == pytest.approx(expected)


def points(svg, shape):
    return [
        [tuple(float(v) for v in pair.split(",")) for pair in found.split()]
        for found in re.findall(rf'<{shape} class="[^"]*" points="([^"]*)"', svg)
    ]


def test_lines_rise_where_numbers_rise_and_skip_what_is_not_finite():
    chart = plots.lines(
        [plots.Line("a", [1, 2, 3, 4], [0.0, 0.5, float("nan"), 1.0]), plots.Line("b", [4], [0.25], dashed=True)],
        x_label="x",
        y_label="y",
        alt="a & b",
    )
    first, second = points(chart.svg, "polyline")
    assert len(first) == 3 and len(second) == 1
    assert [x for x, _ in first] == sorted(x for x, _ in first)
    assert [y for _, y in first] == sorted((y for _, y in first), reverse=True)  # SVG counts downwards
    assert chart.legend == [("s0", "a"), ("s1", "b")]
    assert 'aria-label="a &amp; b"' in chart.svg and "dashed" in chart.svg


def test_histogram_heights_are_the_shares():
    chart = plots.histogram(
        [0, 1, 2], {"a": [0.25, 0.75]}, x_label="d", y_label="share", alt="h", mark=(1.0, "threshold")
    )
    (area,) = points(chart.svg, "polygon")
    floor = area[0][1]
    assert (floor - area[3][1]) / (floor - area[1][1]) == pytest.approx(3, rel=1e-2)
    assert "threshold" in chart.svg and chart.legend == []
    outside = plots.histogram([0, 1], {"a": [1.0]}, x_label="d", y_label="s", alt="h", mark=(5.0, "threshold"))
    assert "threshold" not in outside.svg
