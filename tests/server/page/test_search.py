"""Asking: by picture and by record, what the threshold says, filters, and details."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resight import Embeddings
from resight.gallery.record import Filter
from resight.server.curve import curve

from .conftest import CAMERAS, Site, ask, expect, sighting

ALL = 12 * 3  # six people, six sightings of each

GIVE = """([data, how]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], "given.png", { type: "image/png" }));
  const event = how === "paste"
    ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true })
    : new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


def shown(page: Any) -> list[str]:
    """The ids of the results, in order."""
    return page.locator("#results .card").evaluate_all("cards => cards.map(card => card.dataset.id)")


def decisions(page: Any) -> list[str]:
    return page.locator("#results .verdict").all_inner_texts()


def slide(page: Any, value: float) -> float:
    """Move the slider; what it stands at then."""
    page.locator("#ruler-input").fill(repr(value))
    return float(page.locator("#ruler-input").input_value())


def test_a_picture_gives_what_the_gallery_gives(site: Site, page: Any) -> None:
    picture = sighting(2, 3)
    ask(page, picture)
    hits = site.gallery.search(picture, 24)
    assert shown(page) == [hit.record.id for hit in hits] and hits[0].distance == 0
    assert decisions(page) == [hit.decision for hit in hits]
    first = page.locator("#results .card").first
    expect(first).to_contain_text("Grace")
    expect(first).to_contain_text("gate")
    expect(first.locator("img")).to_have_js_property("naturalWidth", 32)  # once it is loaded
    counts = [f"{sum(hit.decision == word for hit in hits)} {word}" for word in ("match", "unsure", "no match")]
    expect(page.locator("#found-says")).to_have_text(" · ".join(counts))
    expect(page.locator("#found-title")).to_be_focused()


def test_a_picture_is_pasted_and_dropped(site: Site, page: Any) -> None:
    for how, picture in (("paste", sighting(5, 1)), ("drop", sighting(6, 1))):
        page.evaluate(GIVE, [base64.b64encode(picture).decode(), how])
        first, *others = (hit.record.id for hit in site.gallery.search(picture, 24))
        page.locator(f"#results .card:first-child[data-id='{first}']").wait_for()
        assert shown(page) == [first, *others]
        expect(page.locator("#query-says")).to_have_text("given.png")


def test_the_slider_moves_decisions_and_rates(site: Site, page: Any) -> None:
    decision = site.gallery.decision
    assert decision is not None
    picture = sighting(1, 2)
    ask(page, picture)
    distances = np.array([hit.distance for hit in site.gallery.search(picture, 24)])
    middle = float(distances[12] + distances[13]) / 2
    points = curve(decision)
    x, rare, missed = (
        np.array([getattr(p, name) for p in points]) for name in ("threshold", "false_match_rate", "miss_rate")
    )
    for wanted in (0.0, decision.threshold * 0.8, decision.threshold * 1.1, middle, float(x[-1]) * 2):
        value = slide(page, wanted)
        sure, beyond = distances <= value, distances > max(value, decision.no_match_beyond)
        assert decisions(page) == np.where(sure, "match", np.where(beyond, "no match", "unsure")).tolist()
        expect(page.locator("#found-says")).to_have_text(
            f"{sure.sum()} match · {(~sure & ~beyond).sum()} unsure · {beyond.sum()} no match"
        )
        rate, miss = _percent(page, "#ruler-false"), _percent(page, "#ruler-missed")
        assert miss == pytest.approx(100 * np.interp(value, x, missed), abs=0.51)
        if rare.min() > 0:
            assert rate == pytest.approx(100 * np.exp(np.interp(value, x, np.log(rare))), rel=0.06, abs=0.51)
    page.get_by_role("button", name="Reset to the calibrated threshold").click()
    assert decisions(page) == [str(word) for word in decision.decide(distances)]
    expect(page.locator("#ruler-input")).to_be_focused()
    expect(page.locator("#ruler-reset")).to_be_hidden()


def _percent(page: Any, place: str) -> float:
    text = page.locator(place).inner_text().split("%")[0]
    return float(text.replace("at most", "").replace("at least", ""))


def test_rates_between_the_points_of_a_curve(page: Any) -> None:
    """Straight in the logarithm for false matches, straight for misses, and bounds outside."""
    points = [(0.1, 0.0, 0.9), (0.2, 1e-4, 0.6), (0.35, 1e-2, 0.2), (0.5, 0.5, 0.0)]
    names = ("threshold", "false_match_rate", "miss_rate")
    given = [dict(zip(names, point, strict=True)) for point in points]
    at = [0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5, 0.7]
    found = page.evaluate(
        "async ([points, at]) => (({ ratesAt }) => at.map((one) => ratesAt(points, one)))(await import(RATES))".replace(
            "RATES", "'/static/rates.js'"
        ),
        [given, at],
    )
    assert [one["outside"] for one in found] == ["below", *[""] * 7, "above"]
    x, rare, missed = np.array(points).T
    assert [one["missed"] for one in found] == pytest.approx(np.interp(at, x, missed).tolist())
    assert found[2]["falseMatch"] == pytest.approx(0.5e-4)  # from none at all there is no logarithm
    expected = np.exp(np.interp(at[3:], x[1:], np.log(rare[1:])))
    assert [one["falseMatch"] for one in found[3:]] == pytest.approx(expected.tolist())
    assert page.evaluate("async () => (await import('/static/rates.js')).ratesAt([], 1)") is None


def test_filters(site: Site, page: Any) -> None:
    ask(page, sighting(1, 0))
    page.get_by_role("group", name="Only these cameras").get_by_label("hall").check()
    expect(page.locator("#results .card")).to_have_count(12)
    assert set(page.locator("#results .card .camera").all_inner_texts()) == {"hall"}
    page.locator("#filter-form").get_by_label("Who").select_option("Only unknown")
    expect(page.locator("#results .card")).to_have_count(4)
    expect(page.locator("#filter-count")).to_have_text("2 set")
    assert shown(page) == [
        hit.record.id for hit in site.gallery.search(sighting(1, 0), 24, Filter(cameras=("hall",), unknown=True))
    ]
    page.get_by_role("group", name="Exclude these cameras").get_by_label("hall").check()
    expect(page.get_by_role("group", name="Only these cameras").get_by_label("hall")).not_to_be_checked()
    expect(page.locator("#results .card")).to_have_count(8)
    assert set(shown(page)) == {
        record.id for record in site.gallery.records(Filter(exclude_cameras=("hall",), unknown=True))
    }
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator("#results .card")).to_have_count(24)
    page.locator("#filter-form").get_by_label("Seen after").fill(
        "2026-11-18T18:00"
    )  # 1,795,024,800: from the sixth sighting of the first on
    late = site.gallery.records(Filter(after=1_795_024_800.0))
    assert 0 < len(late) < ALL
    expect(page.locator("#results .card")).to_have_count(min(24, len(late)))
    assert set(shown(page)) == {record.id for record in late}


def test_details_and_more_like_this(site: Site, page: Any) -> None:
    ask(page, sighting(3, 0))
    second = page.locator("#results .card").nth(1)
    id = second.get_attribute("data-id")
    (record,) = site.gallery.get([id])
    second.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    for text in (record.identity, record.camera, record.source, "drawn", record.id):
        expect(dialog).to_contain_text(str(text))
    page.keyboard.press("Escape")
    expect(second.get_by_role("button")).to_be_focused()
    second.get_by_role("button").click()
    dialog.get_by_role("button", name="Find more like this").click()
    expect(page.locator("#query-says")).to_have_text(f"More like {record.identity}")
    expect(page.locator(f"#results [data-id='{id}']")).to_have_count(0)
    page.locator("#results .card").first.wait_for()
    hits = site.gallery.search(site.gallery.vectors([id])[0], 25)
    assert shown(page) == [hit.record.id for hit in hits if hit.record.id != id]
    page.get_by_label("Only cameras other than its own").check()
    expect(page.locator("#results .card").filter(has_text=record.camera)).to_have_count(0)
    others = site.gallery.search(site.gallery.vectors([id])[0], 24, Filter(exclude_cameras=(record.camera, "")))
    assert shown(page) == [hit.record.id for hit in others] and "other_cameras=1" in page.url
    page.locator("#results .card").first.get_by_role("button").click()
    expect(dialog).to_be_visible()
    page.go_back()  # what is shown was about the section that is left
    expect(dialog).to_be_hidden()


def test_the_records_of_one_camera_a_page_at_a_time(site: Site, page: Any) -> None:
    page.get_by_role("link", name="Records").click()
    expect(page.locator("#records-cards .card")).to_have_count(ALL)
    expect(page.locator("#records-title")).to_be_focused()
    for camera in CAMERAS[:2]:
        page.locator("#records-form").get_by_label("Camera").select_option(camera)
        expect(page.locator("#records-says")).to_have_text(f"12 matching records, of {ALL} in the gallery")
        expect(page.locator("#records-cards .card").filter(has_text=camera)).to_have_count(12)
        ids = page.locator("#records-cards .card").evaluate_all("cards => cards.map(card => card.dataset.id)")
        assert ids == [record.id for record in site.gallery.records(Filter(cameras=(camera,)))]


def test_a_model_that_was_never_calibrated(serve: Callable[..., Site], visit: Callable[..., Any], seeing: Any) -> None:
    bare = replace(seeing, card=seeing.card.model_copy(update={"decision": None, "threshold": None}))
    page = visit(serve(bare).url)
    ask(page, sighting(1, 1))
    expect(page.locator("#ruler-input")).to_be_hidden()
    expect(page.locator("#ruler-note")).to_contain_text("resight calibrate")
    assert page.locator("#results .card[data-decision]").count() == 0
    expect(page.locator("#found-says")).to_have_text("24 records")


def test_more_records_than_a_page_shows(site: Site, page: Any) -> None:
    """60 at first; the rest follow, and the focus is on the first of them."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, site.gallery.card.dim)).astype(np.float32)
    site.gallery.add(Embeddings(vectors, fingerprint=site.gallery.card.fingerprint), cameras="roof")
    page.get_by_role("link", name="Records").click()
    expect(page.locator("#records-cards .card")).to_have_count(60)
    expect(page.locator("#records-says")).to_contain_text("The first 60 matching records")
    page.locator("#records-more").click()
    expect(page.locator("#records-cards .card")).to_have_count(ALL + 30)
    expect(page.locator("#records-more")).to_be_hidden()
    expect(page.locator("#records-cards .card").nth(60).get_by_role("button")).to_be_focused()
    ids = page.locator("#records-cards .card").evaluate_all("cards => cards.map(card => card.dataset.id)")
    assert ids == [record.id for record in site.gallery.records(limit=100)]


def test_pictures_unlike_the_calibration_are_no_match(serve: Callable[..., Site], visit: Callable[..., Any]) -> None:
    """Not even the picture itself; the page gives the reason."""
    site = serve(fill=False)
    picture = sighting(1, 1)
    dark = np.random.default_rng(0).uniform(0, 8, (80, site.gallery.card.dim)).astype(np.float32)
    site.gallery.add(Embeddings(dark, fingerprint=site.gallery.card.fingerprint))
    site.gallery.add([picture])
    page = visit(site.url)
    ask(page, picture)
    expect(page.locator("#ruler-note")).to_contain_text("unlike those the threshold was learnt on")
    assert decisions(page)[0] == "unsure" and "match" not in decisions(page)
