"""With a keyboard, a screen reader, a phone, in the dark; with keys that may little, and with hostile names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from resight.server.keys import new_key, read_keys

from .conftest import Site, ask, expect, sighting, upload

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'};alert(1);//",
    "javascript:alert(1)",
    "../../etc/passwd?a=b#c/%2e%2e%",
    "{{7*7}} \u202eevil \u0627\u0644\u0639",
    "A" * 200,
]
CONTROLS = {
    "button",
    "link",
    "textbox",
    "searchbox",
    "combobox",
    "checkbox",
    "slider",
    "Date",
    "DateTime",
    "img",
    "image",
    "dialog",
}


def test_with_the_keyboard_alone(page: Any) -> None:
    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    press("Enter")
    expect(page.locator("main")).to_be_focused()
    press("Tab")
    expect(page.locator("#query-file")).to_be_focused()
    outline = page.locator("#drop").evaluate("drop => getComputedStyle(drop).outlineStyle")
    assert outline == "solid"
    page.locator("#query-file").set_input_files(upload(sighting(1, 0)))  # here the system's own dialog would open
    expect(page.locator("#found-title")).to_be_focused()
    press("Shift+Tab")
    expect(page.get_by_role("slider")).to_be_focused()
    before = page.get_by_role("slider").get_attribute("aria-valuetext")
    press(*["ArrowRight"] * 3)
    assert page.get_by_role("slider").get_attribute("aria-valuetext") != before
    press("Tab", "Enter")
    expect(page.get_by_role("dialog").get_by_role("heading")).to_be_focused()
    press("Escape")
    expect(page.locator("#results .card button").first).to_be_focused()
    press("Tab")
    expect(page.locator("#results .card input").first).to_be_focused()
    press("Space", "Tab", "Tab", "Space")
    expect(page.locator("#picked-says")).to_have_text("2 records selected")
    page.get_by_role("button", name="Split off…").focus()
    press("Enter")
    expect(page.get_by_label("New name")).to_be_focused()
    page.keyboard.type("Augusta")
    press("Enter")
    expect(page.locator("#said")).to_have_text("2 records split off Ada.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("main :focus")).to_have_count(1)  # the card is another now, but nobody is lost


def test_every_control_has_a_name(site: Site, page: Any) -> None:
    """In Chromium's own accessibility tree, in each section and dialog."""
    session = page.context.new_cdp_session(page)

    def check() -> set[str]:
        tree = session.send("Accessibility.getFullAXTree")["nodes"]
        nodes = [node for node in tree if not node.get("ignored") and node.get("role", {}).get("value") in CONTROLS]
        assert [node for node in nodes if not node.get("name", {}).get("value", "").strip()] == []
        return {node["role"]["value"] for node in nodes}

    ask(page, sighting(1, 0))
    assert {"button", "link", "combobox", "checkbox", "slider"} <= check()
    page.locator("#results .card button").first.click()
    assert "dialog" in check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add pictures").click()
    assert "dialog" in check()
    page.keyboard.press("Escape")
    for place in ("people", "people/Ada", "records"):
        page.goto(f"{site.url}#/{place}")
        expect(page.locator("main h1:visible")).to_have_count(1)
        page.locator("main .card:visible, main li:visible").first.wait_for()
        check()
    assert page.evaluate("document.documentElement.lang") == "en"
    landmarks = {role: page.get_by_role(role).count() for role in ("banner", "navigation", "main")}
    assert landmarks == {"banner": 1, "navigation": 1, "main": 1}


def test_a_phone_never_scrolls_sideways(site: Site, visit: Callable[..., Any]) -> None:
    site.gallery.rename("Alan", "W" * 200)
    page = visit(site.url, width=360, height=740)

    def fits() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        over = page.locator("dialog[open]").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth).length"
        )
        assert over == 0

    fits()
    ask(page, sighting(3, 0))
    fits()
    page.locator("#search-filters summary").click()
    fits()
    page.locator("#results .card button").first.click()
    fits()
    page.keyboard.press("Escape")
    page.locator("#results .pick input").first.check()
    fits()
    page.locator("#picked").get_by_role("button", name="Erase…").click()
    fits()
    page.keyboard.press("Escape")
    for place in ("people", "people/Ada", f"people/{'W' * 200}", "records"):
        page.goto(f"{site.url}#/{place}")
        page.locator("main .card:visible, main li:visible").first.wait_for()
        fits()


def test_light_and_dark(page: Any) -> None:
    def brightness() -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 765

    assert brightness() > 0.5
    page.emulate_media(color_scheme="dark")  # the system's choice
    assert brightness() < 0.5
    page.get_by_role("button", name="Switch between light and dark").click()
    assert brightness() > 0.5
    page.reload()
    assert brightness() > 0.5
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Switch between light and dark").click()
    assert brightness() < 0.5
    moving = (
        "[...document.querySelectorAll('*')].filter(one => getComputedStyle(one).transitionDuration !== '0s').length"
    )
    assert page.evaluate(moving) == 0


def test_names_are_shown_as_text(site: Site, page: Any) -> None:
    """A name that runs would end the test, by a line in the console."""
    ids = [record.id for record in site.gallery.timeline("Ada")] + [
        record.id for record in site.gallery.timeline("Mary")
    ]
    site.gallery.split("Ada", ids[:6])
    site.gallery.split("Mary", ids[6:])
    for name, id in zip(HOSTILE, ids, strict=False):
        site.gallery.enrol(name, [id])
    page.goto(f"{site.url}#/people")
    page.reload()
    expect(page.locator("#people-list li")).to_have_count(2 + len(HOSTILE))
    assert set(HOSTILE) <= set(page.locator("#people-list b").all_text_contents())
    for name in HOSTILE[1:5]:
        page.locator("nav").get_by_text("People").click()
        page.locator("#people-list a").filter(has=page.locator("b").get_by_text(name, exact=True)).click()
        expect(page.locator("#person-title")).to_have_text(name)
        expect(page.locator("#person-cards .card")).to_have_count(1)
        page.locator("#person-cards .card button").click()
        expect(page.locator("#details-title")).to_have_text(name)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Rename…").click()
    page.get_by_role("dialog").get_by_label("New name").fill(HOSTILE[0] + "!")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.locator("#person-title")).to_have_text(HOSTILE[0] + "!")
    assert page.locator("main script, main img[onerror]").count() == 0


def test_a_key_that_may_only_read(serve: Callable[..., Site], visit: Callable[..., Any], tmp_path: Path) -> None:
    secret = new_key(tmp_path / "keys.json", "reader", ["read"])
    page = visit(serve(keys=read_keys(tmp_path / "keys.json")).url)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("resight_wrong")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_role("alert")).to_contain_text("key")
    dialog.get_by_label("Key").fill(secret)
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog).to_be_hidden()
    ask(page, sighting(2, 0))
    expect(page.locator("#results .card img[src]").first).to_be_visible()  # a thumbnail, fetched with the key
    assert page.locator(".pick").count() == 0
    for name in ("Add pictures", "Add to the gallery"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.locator("#results .card button").first.click()
    expect(dialog.get_by_role("button", name="Find more like this")).to_be_visible()
    for name in ("Name…", "Split off…", "Erase…"):
        expect(dialog.get_by_role("button", name=name)).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="People").click()
    expect(page.locator("#people-list li")).to_have_count(4)
    assert page.locator("#people-list input").count() == 0
    assert page.evaluate("[JSON.stringify(localStorage), document.cookie]") == ["{}", ""]
    page.reload()
    expect(page.locator("#people-list li")).to_have_count(4)  # the tab still has the key


def test_an_empty_gallery(serve: Callable[..., Site], visit: Callable[..., Any]) -> None:
    page = visit(serve(fill=False).url)
    expect(page.locator("#standing")).to_have_text("The gallery is still empty: add pictures first.")
    page.get_by_role("link", name="People").click()
    expect(page.locator("#people-says")).to_contain_text("There are no names yet")
    page.get_by_role("link", name="Records").click()
    expect(page.locator("#records-says")).to_have_text("The gallery is empty: add a picture.")
