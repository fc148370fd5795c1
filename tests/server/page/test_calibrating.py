"""The section Calibrate: questions answered with keys and buttons, and what was learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import BEGIN, CAMERAS, Site, expect, sighting


def test_twenty_questions(serve: Callable[..., Site], visit: Callable[..., Any]) -> None:
    site = serve(fill=False)
    shots = [(person, which) for person in range(1, 13) for which in range(6)]
    site.gallery.add(
        [sighting(*shot) for shot in shots],
        cameras=[CAMERAS[which % 3] for _, which in shots],
        times=[BEGIN + 100 * at for at in range(len(shots))],
        sources=[f"{person} {which}" for person, which in shots],
        basis="drawn",
    )
    page = visit(f"{site.url}#/calibrate")
    says, spoken = page.locator("#calibrate-says"), page.locator("#calibrate-spoken")
    expect(says).to_have_text("0 answers that are not unsure. 20 more are needed.")
    expect(page.locator("#calibrate-pair img[src^='blob:']")).to_have_count(2)
    page.keyboard.press("u")
    expect(spoken).to_have_text("Answered: unsure. 0 answers that are not unsure. 20 more are needed.")
    expect(page.locator("#calibrate-go")).to_be_hidden()
    person = {record.id: int(record.source.split()[0]) for record in site.gallery.records(limit=100)}
    state = page.evaluate("fetch('api/calibration').then((answer) => answer.json())")
    for number in range(1, 21):
        first, second = (state["question"][side]["id"] for side in ("first", "second"))
        word = "same" if person[first] == person[second] else "different"
        with page.expect_response("**/api/calibration/answer") as answered:
            if number == 1:
                page.get_by_role("button", name=word.capitalize()).click()
            else:
                page.keyboard.press(word[0])
        state = answered.value.json()
        expect(spoken).to_contain_text(f"Answered: {word}. {number} answer")
    before = site.gallery.decision
    assert before is not None
    page.get_by_role("button", name="Calibrate with the answers").click()
    expect(page.locator("#calibrate-done")).to_be_focused()
    learnt = page.locator("#calibrate-learnt")
    expect(learnt).to_contain_text(f"before, it was {before.threshold:.1f}")
    expect(learnt).to_contain_text("Learnt from 20 answers: ")
    event = site.gallery.log()[-1]
    assert event.action == "calibrate" and event.details["answers"] == 20
    expect(page.locator("#said")).to_contain_text("The threshold is ")
