"""What the benchmark of live cameras counts as held."""

import importlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_each_thing_that_must_hold_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    live = importlib.import_module("live")
    seconds = 600.0
    times = [[float(at) for at in range(600)], [float(at) for at in range(600) if not 200 <= at < 220]]
    good: dict[str, Any] = {
        "budget": 2.0,
        "cameras": {
            "1": {"read": 6000, "skipped": 5400, "dropped": 0, "losses": 0, "detected": 600, "longest_pause": 1.0},
            "2": {"read": 5800, "skipped": 5220, "dropped": 0, "losses": 2, "detected": 580, "longest_pause": 20.0},
        },
        "tracks": 30,
        "records": 30,
        "unnamed": 0,
        "longest_wait_for_a_name": 40.0,
        "memory_mib_by_quarter": [500.0, 600.0, 605.0, 610.0],
    }
    assert all(live.judged(good, times, seconds).values())
    for change, broken in (
        ({"cameras.1.dropped": 1}, "others"),
        ({"cameras.1.losses": 1}, "others"),
        ({"cameras.1.detected": 598}, "others"),
        ({"cameras.1.detected": 500, "cameras.1.read": 5900}, "others"),
        ({"cameras.1.longest_pause": 6.0}, "others"),
        ({"cameras.2.losses": 1}, "trouble"),
        ({"memory_mib_by_quarter": [500.0, 600.0, 610.0, 620.0]}, "memory"),
        ({"memory_mib_by_quarter": [500.0, 600.0]}, "memory"),
        ({"unnamed": 1}, "named"),
        ({"records": 29}, "named"),
        ({"longest_wait_for_a_name": 61.0}, "named"),
    ):
        wrong = deepcopy(good)
        for path, value in change.items():
            *above, name = path.split(".")
            place = wrong
            for key in above:
                place = place[key]
            place[name] = value
        assert [what for what, fine in live.judged(wrong, times, seconds).items() if not fine] == [broken], change
    never_back = [times[0], [at for at in times[1] if at < 400]]
    assert live.judged(good, never_back, seconds)["trouble"] is False
    assert live.longest_pause([1.0, 2.0, 9.0], 12.0) == 7.0 and live.longest_pause([1.0], 30.0) == 29.0
    assert live.longest_pause([], 30.0) == 30.0
