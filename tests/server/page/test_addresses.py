"""The address carries the search, several pictures are one query, arrows go on, changes of names are undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from resight.gallery.record import Filter

from .conftest import Site, ask, expect, sighting, upload
from .test_search import shown


def found(site: Site, query: Any, where: Filter | None = None, k: int = 24) -> list[str]:
    return [hit.record.id for hit in site.gallery.search(query, k, where or Filter())]


def test_the_address_carries_the_filters_and_the_tab_the_picture(
    site: Site, page: Any, visit: Callable[..., Any]
) -> None:
    ask(page, sighting(1, 0))
    page.get_by_role("group", name="Only these cameras").get_by_label("hall").check()
    expect(page.locator("#results .card")).to_have_count(12)
    page.locator("#filter-form").get_by_label("Show at most").select_option("12")
    page.wait_for_url("**&k=12")
    first = page.url
    hall = Filter(cameras=("hall",))
    assert "camera=hall" in first and shown(page) == found(site, sighting(1, 0), hall, 12)

    page.reload()
    page.locator("#results:not([aria-busy]) .card").first.wait_for()
    assert shown(page) == found(site, sighting(1, 0), hall, 12)
    expect(page.locator("#query-says")).to_have_text("seen.png")
    expect(page.get_by_role("group", name="Only these cameras").get_by_label("hall")).to_be_checked()

    ask(page, sighting(3, 0))
    expect(
        page.locator(f"#results .card:first-child[data-id='{found(site, sighting(3, 0), hall)[0]}']")
    ).to_be_visible()
    page.get_by_role("link", name="People").click()
    page.get_by_role("link", name="Search").click()  # the last search, not an empty page
    expect(page.locator("#results .card")).to_have_count(12)
    for _ in range(3):
        page.go_back()
    expect(
        page.locator(f"#results .card:first-child[data-id='{found(site, sighting(1, 0), hall)[0]}']")
    ).to_be_visible()
    assert page.url == first

    page.evaluate("sessionStorage.clear()")  # as in the browser of somebody else
    page.reload()
    expect(page.locator("#notice")).to_contain_text("choose the picture again")
    expect(page.get_by_role("group", name="Only these cameras").get_by_label("hall")).to_be_checked()


def test_more_like_a_record_can_be_sent_to_somebody(site: Site, page: Any, visit: Callable[..., Any]) -> None:
    (record,) = site.gallery.records(limit=1)
    others = [id for id in found(site, site.gallery.vectors([record.id])[0], k=25) if id != record.id]
    visit(f"{site.url}#/like/{record.id}?k=12&exclude_camera=nowhere&who==Nobody")
    page.locator("#results:not([aria-busy]) .card").first.wait_for()
    assert shown(page) == others[:12]


def test_a_tab_forgets_old_pictures_and_large_ones(page: Any) -> None:
    script = """async (sizes) => {
      const { keep, recall } = await import("/static/kept.js");
      const ids = sizes.map((size) => keep([new File([new Uint8Array(size).fill(7)], `${size}.png`)]));
      await new Promise((done) => setTimeout(done, 500));
      const there = JSON.parse(sessionStorage.getItem("resight-asked"));
      return [ids.map((id) => there.includes(id)), ids.map((id) => recall(id)[0].name), recall("nothing")];
    }"""
    kept, names, nothing = page.evaluate(script, [10, 20, 30, 40, 50, 60, 70])
    assert kept == [False] + [True] * 6 and names[0] == "10.png" and nothing is None
    kept, names, _ = page.evaluate(script, [9_000_000])
    assert kept == [False] and names == ["9000000.png"]  # no room in the storage: found until the page is loaded again


def test_several_pictures_of_one_person_are_one_query(site: Site, page: Any) -> None:
    pictures = [sighting(2, which) for which in (1, 3, 5)]
    page.locator("#query-file").set_input_files([upload(one, f"{at}.png") for at, one in enumerate(pictures)])
    page.locator("#results:not([aria-busy]) .card").first.wait_for()
    vectors = site.gallery.embedder(pictures).vectors.astype(np.float64)
    if site.gallery.card.metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert shown(page) == found(site, vectors.mean(axis=0).astype(np.float32))
    expect(page.locator("#query-says")).to_have_text("3 pictures of one person")
    expect(page.locator("#query-strip button")).to_have_count(3)

    page.get_by_label("They show one person").uncheck()
    expect(page.locator("#query-says")).to_have_text("0.png")
    page.get_by_role("button", name="Picture 3: 2.png").click()
    expect(page.locator("#query-says")).to_have_text("2.png")
    expect(page.locator(f"#results .card:first-child[data-id='{found(site, pictures[2])[0]}']")).to_be_visible()
    assert page.url.endswith("each=2")
    page.reload()
    expect(page.locator("#query-says")).to_have_text("2.png")


def test_arrows_go_from_result_to_result(site: Site, page: Any) -> None:
    ask(page, sighting(3, 0))
    ids = shown(page)
    page.locator("#results .card button").nth(1).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 of 24")
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text(ids[2])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # there is none before the first
    expect(dialog).to_contain_text(ids[0])
    expect(dialog.get_by_role("button", name="Previous")).to_be_disabled()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog).to_contain_text("2 of 24")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(page.locator(f"#results [data-id='{ids[2]}'] button").first).to_be_focused()


def test_a_time_window_that_nothing_can_be_in_is_refused(page: Any) -> None:
    ask(page, sighting(1, 0))
    page.locator("#filter-form").get_by_label("Seen after").fill("2026-11-20T10:00")
    page.locator("#filter-form").get_by_label("Seen before").fill("2026-11-19T10:00")
    field = page.locator("#filter-form [name=before]")
    expect(field).to_have_js_property("validationMessage", "This must be later than the time of “Seen after”.")
    field.fill("2026-11-21T10:00")
    page.wait_for_url("**before=*")


def test_changes_of_names_are_undone(site: Site, page: Any) -> None:
    before = {record.id: record.identity for record in site.gallery.records()}

    def undone() -> None:
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#said")).to_have_text("Undone.")
        assert {record.id: record.identity for record in site.gallery.records()} == before

    def go_on(button: str, **fields: str) -> None:
        for label, value in fields.items():
            page.get_by_role("dialog").get_by_label(label.replace("_", " ")).fill(value)
        page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()

    ask(page, sighting(5, 0))
    for at in range(3):
        page.locator("#results .card").nth(at).get_by_role("checkbox").check()
    page.get_by_role("button", name="Name…").click()
    go_on("Name", Name="Noether")
    expect(page.locator("#said")).to_have_text("3 records named Noether.")
    undone()
    ask(page, sighting(1, 0))
    for name in ("Augusta", ""):
        page.locator("#results .card").first.get_by_role("checkbox").check()
        page.get_by_role("button", name="Split off…").click()
        go_on("Split off", New_name=name)
        expect(page.locator("#said")).to_have_text("1 record split off Ada.")
        undone()

    page.goto(f"{site.url}#/people")
    for name in ("Ada", "Mary", "Alan"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Merge…").click()
    page.get_by_role("dialog").get_by_label("Name to keep").select_option("Mary")
    page.get_by_role("dialog").get_by_label("Name to keep").press("Enter")  # goes on, as in any other field
    expect(page.locator("#said")).to_have_text("3 people merged into Mary.")
    undone()
    page.goto(f"{site.url}#/people/Grace")
    page.get_by_role("button", name="Rename…").click()
    go_on("Rename", New_name="Grace H.")
    expect(page.locator("#person-title")).to_have_text("Grace H.")
    undone()
    expect(page.locator("#person-title")).to_have_text("Grace")


def test_a_folder_is_added_with_its_cameras(site: Site, page: Any, tmp_path: Path) -> None:
    for camera, which in (("yard", 1), ("yard", 2), ("roof", 3)):
        (tmp_path / "films" / camera).mkdir(parents=True, exist_ok=True)
        (tmp_path / "films" / camera / f"{which}.png").write_bytes(sighting(9, which))
    (tmp_path / "films" / "yard" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "films" / "notes.txt").write_text("no picture either")
    page.get_by_role("button", name="Add pictures").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("Choose at least one picture")
    dialog.get_by_label("Folder", exact=True).set_input_files(tmp_path / "films")
    dialog.get_by_label("Cameras are the names of the folders").check()
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#said")).to_have_text("3 added.")
    expect(dialog.get_by_role("alert")).to_contain_text("1 picture could not be added; first films/yard/broken.png")
    seen = {(record.camera, record.source) for record in site.gallery.records(Filter(cameras=("yard", "roof")))}
    assert seen == {("yard", "films/yard/1.png"), ("yard", "films/yard/2.png"), ("roof", "films/roof/3.png")}


def test_pictures_are_shown_whole_and_messages_cover_nothing(site: Site, page: Any) -> None:
    ask(page, sighting(1, 0))
    assert page.locator("#results .card img").first.evaluate("image => getComputedStyle(image).objectFit") == "contain"
    page.locator("#results .card").first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Split off…").click()
    page.get_by_role("dialog").get_by_role("button", name="Split off", exact=True).click()
    expect(page.locator("#said")).to_be_visible()
    box, bar = page.locator("#news").bounding_box(), page.locator("header").bounding_box()
    assert bar["y"] <= box["y"] and box["y"] + box["height"] <= bar["y"] + bar["height"]
    assert page.locator("#results").bounding_box()["y"] > bar["y"] + bar["height"]
