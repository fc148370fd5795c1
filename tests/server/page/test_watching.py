"""The section Watch: tracks as bars, thumbnails, filters; the review queue with mouse, keyboard and screen reader."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from resight.gallery import answers
from resight.watch.origin import Origin

from .conftest import BEGIN, Site, expect, sighting

NAMES = ["person 1", "person 2", "person 3", "Ada"]  # Ada's name was given by somebody
WAY = ("gate", "hall", "platform")


@pytest.fixture
def watched(serve: Callable[..., Site]) -> Site:
    """Four people, each before three cameras; 'person 1' and 'person 2' are mixed up at the last one."""
    site = serve(fill=False)
    shots = [(person, which) for person in range(1, 5) for which in range(3)]
    names = [NAMES[person - 1] for person, _ in shots]
    names[2], names[5] = names[5], names[2]
    begin = [BEGIN + 60 * which + 12 * person for person, which in shots]
    site.gallery.add(
        [sighting(*shot) for shot in shots],
        cameras=[WAY[which] for _, which in shots],
        times=[at + 2.0 for at in begin],
        identities=names,
        sources=[str(Origin(f"{WAY[which]}.mp4", at, begin[at], begin[at] + 5)) for at, (_, which) in enumerate(shots)],
        basis="drawn",
    )
    return site


@pytest.fixture
def page(watched: Site, visit: Callable[..., Any]) -> Any:
    tab = visit(f"{watched.url}#/watch")
    expect(tab.locator(".track")).to_have_count(12)
    return tab


def test_tracks_are_bars_by_camera_and_time(page: Any) -> None:
    expect(page.locator("#watch-says")).to_contain_text("12 tracks of 4 identities, ")
    expect(page.locator("#watch-plot .camera")).to_have_text(["gategate", "hallhall", "platformplatform"])
    boxes = [bar.bounding_box() for bar in page.locator(".track rect").all()]
    rows = sorted({round(box["y"]) for box in boxes})
    assert len(rows) == 3 and [round(box["y"]) for box in boxes] == [rows[0]] * 4 + [rows[1]] * 4 + [rows[2]] * 4
    assert all(a["x"] < b["x"] for a, b in pairwise(boxes) if round(a["y"]) == round(b["y"]))
    colours = page.locator(".track rect").evaluate_all("all => all.map(one => one.getAttribute('fill'))")
    assert len(set(colours)) == 4 and colours[0] == colours[4]  # person 1 at the gate and in the hall
    page.locator(".track").first.hover()
    expect(page.locator(".peek")).to_be_visible()
    expect(page.locator(".peek b")).to_have_text("person 1")
    page.locator(".peek img[src^='blob:']").wait_for()
    page.locator(".track").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("gate.mp4#frame=0")
    page.keyboard.press("Escape")
    page.locator("#watch-form [name=camera]").select_option("hall")
    expect(page.locator(".track")).to_have_count(4)
    page.locator("#watch-form [name=who]").select_option("=Ada")
    expect(page.locator(".track")).to_have_count(1)


def test_tracks_with_the_keyboard(page: Any) -> None:
    page.locator(".track[tabindex='0']").focus()
    for key, label in (
        ("ArrowRight", "person 2, gate"),
        ("ArrowDown", "person 1, hall"),
        ("ArrowUp", "Ada, gate"),
        ("End", "Ada, platform"),
        ("Home", "person 1, gate"),
    ):
        page.keyboard.press(key)
        focused = page.locator(".track:focus")
        assert str(focused.get_attribute("aria-label")).startswith(label), key
        expect(page.locator(".track[tabindex='0']")).to_have_count(1)
        expect(page.locator(".peek")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("gate.mp4#frame=0")
    page.keyboard.press("Escape")
    page.get_by_text("The tracks as a table").click()
    expect(page.locator("#watch-rows tr")).to_have_count(12)


def test_the_review_queue(watched: Site, page: Any) -> None:
    """Keys answer; letters that are typed into a field do not; answers are kept and change the links."""
    says = page.locator("#review-says")
    expect(says).to_have_text("Question 1 of 9. 0 pairs have an answer.")
    expect(page.locator("#review-pair img[src^='blob:']")).to_have_count(2)
    page.locator("#watch-form [name=who]").focus()
    page.keyboard.press("s")
    assert answers.of(watched.gallery) == []
    page.locator("#review-title").click()
    for number, (key, word) in enumerate((("s", "same"), ("D", "different"), ("u", "unsure")), 2):
        page.keyboard.press(key)
        said = f"Question {number} of 9. {number - 1} pair"
        expect(says).to_contain_text(said)
        expect(page.locator("#review-spoken")).to_contain_text(f"Answered: {word}. {said}")
    assert sorted(one.answer for one in answers.of(watched.gallery)) == ["different", "same", "unsure"]
    page.get_by_role("button", name="Back").click()
    page.get_by_role("button", name="Different").click()
    expect(page.locator("#review-spoken")).to_contain_text("Answered: different.")
    assert sorted(one.answer for one in answers.of(watched.gallery)) == ["different", "different", "same"]
    page.get_by_role("button", name="Link again with the answers").click()
    expect(page.locator("#said")).to_contain_text("Linked again: ")
    expect(says).to_contain_text("3 pairs have an answer.")
    for one in answers.of(watched.gallery):
        names = [record.identity for record in watched.gallery.get([one.first, one.second])]
        assert (names[0] == names[1]) == (one.answer == "same")
    assert watched.named()["Ada"] >= 3


def test_every_control_has_a_name(page: Any) -> None:
    expect(page.locator("#review-answers")).to_be_visible()
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node
        for node in tree
        if not node.get("ignored")
        and node.get("role", {}).get("value") in {"button", "combobox", "link", "image", "img"}
    ]
    assert [node for node in controls if not node.get("name", {}).get("value", "").strip()] == []
    names = {node["name"]["value"] for node in controls}
    assert {"Same", "Different", "Unsure"} <= names and any(name.startswith("person 1, gate, ") for name in names)


def test_a_gallery_without_tracks(serve: Callable[..., Site], visit: Callable[..., Any]) -> None:
    page = visit(f"{serve().url}#/watch")
    expect(page.locator("#watch-says")).to_have_text("No tracks: watch videos or cameras with resight watch.")
    expect(page.locator("#review-says")).to_have_text("There are no questions. 0 pairs have an answer.")
    expect(page.locator("#review-answers")).to_be_hidden()
