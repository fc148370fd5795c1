"""Naming, splitting, merging, renaming, erasing and adding: in the browser, and then in the gallery."""

from __future__ import annotations

import itertools
from typing import Any

from resight.gallery.record import Filter

from .conftest import CAMERAS, NAMES, Site, ask, expect, sighting, upload


def select(page: Any, count: int) -> list[str]:
    """Select the first results; their ids."""
    cards = page.locator("#results .card")
    for at in range(count):
        cards.nth(at).get_by_role("checkbox").check()
    return [cards.nth(at).get_attribute("data-id") for at in range(count)]


def answer(page: Any, button: str, **fields: str) -> None:
    """Fill in the question's fields by their labels, and press its button."""
    dialog = page.get_by_role("dialog")
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " "), exact=True).fill(value)
    dialog.get_by_role("button", name=button, exact=True).click()


def test_unknown_people_get_a_name_and_lose_it_again(site: Site, page: Any) -> None:
    ask(page, sighting(5, 0))
    ids = select(page, 3)
    page.get_by_role("button", name="Name…").click()
    answer(page, "Name", Name="Noether")
    expect(page.locator("#said")).to_have_text("3 records named Noether.")
    assert {record.id for record in site.gallery.timeline("Noether")} == set(ids)
    expect(page.locator("#results .card").first).to_contain_text("Noether")
    expect(page.locator("#picked")).to_be_hidden()

    select(page, 2)
    page.get_by_role("button", name="Split off…").click()
    answer(page, "Split off", New_name="Emmy")
    expect(page.locator("#said")).to_have_text("2 records split off Noether.")
    assert site.named() == dict.fromkeys(NAMES.values(), 6) | {"Noether": 1, "Emmy": 2}

    select(page, 1)
    page.get_by_role("button", name="Split off…").click()
    answer(page, "Split off")
    expect(page.locator("#results .card").first).to_contain_text("Unknown")
    assert site.named()["Emmy"] == 1


def test_a_record_of_somebody_else_is_not_named_over(site: Site, page: Any) -> None:
    """The service's sentence stands in the dialog, which stays."""
    page.locator("nav").get_by_text("Records").click()
    page.locator("#records-form").get_by_label("Who").select_option("Ada")
    expect(page.locator("#records-cards .card")).to_have_count(6)
    page.locator("#records-cards .card").first.get_by_role("checkbox").check()
    page.locator("#records-form").get_by_label("Who").select_option("Only unknown")
    expect(page.locator("#records-cards .card")).to_have_count(12)
    page.locator("#records-cards .card").first.get_by_role("checkbox").check()
    expect(page.locator("#picked-says")).to_have_text("2 records selected")
    page.get_by_role("button", name="Name…").click()
    answer(page, "Name", Name="Grace")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Ada")
    assert site.named()["Grace"] == 6
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_people_are_merged_renamed_and_erased(site: Site, page: Any) -> None:
    page.get_by_role("link", name="People").click()
    expect(page.locator("#people-list li")).to_have_count(4)
    for name in ("Ada", "Mary"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Merge…").click()
    page.get_by_role("dialog").get_by_label("Name to keep").select_option("Mary")
    answer(page, "Merge")
    expect(page.locator("#people-list li")).to_have_count(3)
    assert site.named() == {"Mary": 12, "Grace": 6, "Alan": 6}

    page.get_by_role("link", name="Mary").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mary")
    page.get_by_role("button", name="Rename…").click()
    answer(page, "Rename", New_name="Grace")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Grace")
    answer(page, "Rename", New_name="Mary L.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Mary L.")
    assert site.named() == {"Mary L.": 12, "Grace": 6, "Alan": 6}

    page.get_by_role("button", name="Merge…").click()
    page.get_by_role("dialog").get_by_label("Into").select_option("Alan")
    answer(page, "Merge")
    expect(page.get_by_role("heading", level=1)).to_have_text("Alan")
    expect(page.locator("#person-says")).to_contain_text("18 records, 3 cameras")

    page.get_by_role("button", name="Erase…").click()
    erase = page.get_by_role("dialog").get_by_role("button", name="Erase", exact=True)
    expect(erase).to_be_disabled()
    page.get_by_label("Type Alan to go on").fill("Ala")
    expect(erase).to_be_disabled()
    page.get_by_label("Type Alan to go on").fill("Alan")
    erase.click()
    expect(page.locator("#people-title")).to_be_visible()
    expect(page.locator("#said")).to_have_text("Alan erased: 18 records.")
    assert site.named() == {"Grace": 6} and len(site.gallery) == 18


def test_records_are_erased_by_typing_how_many(site: Site, page: Any) -> None:
    ask(page, sighting(6, 0))
    ids = select(page, 2)
    page.locator("#picked").get_by_role("button", name="Erase…").click()
    page.get_by_label("Type 2 to go on").fill("2")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("2 records erased.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert not {record.id for record in site.gallery.records()} & set(ids) and len(site.gallery) == 34
    for id in ids:
        expect(page.locator(f"#results [data-id='{id}']")).to_have_count(0)


def test_a_picture_is_added_once(site: Site, page: Any) -> None:
    picture = sighting(7, 0)
    for sentence in ("Added.", "This picture was in the gallery already."):
        page.get_by_role("button", name="Add pictures").click()
        page.get_by_role("dialog").get_by_label("Pictures", exact=True).set_input_files(upload(picture, "new.png"))
        answer(
            page,
            "Add",
            Camera="garden",
            Seen="2026-11-20T10:30:00",
            Name="Rosalind",
            Legal_basis_for_keeping_it="consent",
        )
        expect(page.locator("#said")).to_have_text(sentence)
    (record,) = site.gallery.records(Filter(cameras=("garden",)))
    assert (record.identity, record.time, record.source, record.basis) == (
        "Rosalind",
        1_795_170_600,
        "new.png",
        "consent",
    )

    site.gallery.erase(ids=[record.id])
    page.get_by_role("button", name="Add pictures").click()
    page.get_by_role("dialog").get_by_label("Pictures", exact=True).set_input_files(upload(picture, "new.png"))
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("1 picture was erased before")
    page.get_by_role("dialog").get_by_label("Also add what was erased before").check()
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#said")).to_have_text("Added.")

    ask(page, sighting(8, 0))
    page.get_by_role("button", name="Add to the gallery").click()
    answer(page, "Add", Camera="hall")
    expect(page.locator("#results .card").first).to_contain_text("distance 0")
    assert site.gallery.search(sighting(8, 0), 1)[0].distance == 0 and len(site.gallery) == 38
    page.locator("#query-file").set_input_files({"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.locator("#notice")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text(".")
    expect(page.locator("#results .card")).to_have_count(0)


def test_the_timeline_of_a_person(site: Site, page: Any) -> None:
    page.goto(f"{site.url}#/people/Grace")
    records = site.gallery.timeline("Grace")
    expect(page.locator("#timeline circle")).to_have_count(len(records))
    x = page.locator("#timeline circle").evaluate_all("dots => dots.map(dot => Number(dot.getAttribute('cx')))")
    times = [record.time for record in records]
    assert all(record.time is not None for record in records) and x == sorted(x)
    gaps = [(b - a) / (x[-1] - x[0]) for a, b in itertools.pairwise(x)]
    wanted = [(b - a) / (times[-1] - times[0]) for a, b in itertools.pairwise(times)]  # type: ignore[operator]
    assert max(abs(gap - want) for gap, want in zip(gaps, wanted, strict=True)) < 1e-6
    assert [text.split(",")[0] for text in page.locator("#timeline circle title").all_text_contents()] == [
        r.camera for r in records
    ]
    assert page.locator("#timeline .camera").evaluate_all("names => names.map(name => name.firstChild.data)") == sorted(
        CAMERAS
    )
    page.get_by_text("The timeline as a table").click()
    rows = page.locator("#timeline-rows tr")
    assert [row.split("\t")[1] for row in rows.all_inner_texts()] == [record.camera for record in records]
    rows.nth(2).get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_contain_text(records[2].id)
