"""What the report says of a decision, against pairs counted one by one."""

import json
import re

import numpy as np
import pytest

import resight
from reference.pairs import every_pair, people
from resight import DataError
from resight.decisions.report import rate_text
from resight.report import html
from resight.report.decisions import look
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.distance import pairwise

from .test_html import Page


@pytest.fixture(scope="module")
def decision():
    images = people(np.random.default_rng(1), 60, cameras=3, noise=0.7, fingerprint="aa")
    return resight.calibrate(images, false_match_rate=1e-2, coverage=0.9)


@pytest.fixture(scope="module")
def others():
    images = people(np.random.default_rng(2), 30, cameras=3, noise=0.7, first=100, fingerprint="aa")
    asked = np.arange(len(images)) % 6 < 2
    return images.take(asked), images.take(~asked)


@pytest.fixture
def write(tmp_path, others):
    def make(card, metric="euclidean"):
        query, gallery = others
        path = html.write(
            tmp_path / "report.html",
            title="People",
            report=evaluate(query, gallery, metric=metric),
            query=query,
            gallery=gallery,
            protocol="market1501",
            metric=metric,
            card=card,
            pictures=False,
        )
        return Page(path.read_text(encoding="utf-8"))

    return make


def test_rates_answers_and_cameras(write, others, decision):
    page = write({"threshold": decision.threshold, "decision": decision.plain()})
    query, gallery = others
    everything = list(every_pair(query, gallery, pairwise(query.vectors, gallery.vectors), "market1501"))
    impostors = [d for _, _, d, same in everything if not same]
    genuine = [d for _, _, d, same in everything if same]
    false = sum(d <= decision.threshold for d in impostors) / len(impostors)
    missed = sum(d > decision.threshold for d in genuine) / len(genuine)
    assert 0 < false < 0.1 < missed < 1
    assert f"false matches, of impostor pairs 1% {rate_text(false)} [" in page.text
    assert f"missed matches, of genuine pairs {rate_text(missed)} [" in page.text
    unsure = sum(decision.threshold < d <= decision.no_match_beyond for d in genuine) / len(genuine)
    assert f"genuine pairs {rate_text(1 - missed)} {rate_text(unsure)} {rate_text(missed - unsure)}" in page.text
    between = [(d, same) for q, g, d, same in everything if {query.cameras[q], gallery.cameras[g]} == {1, 2}]
    near = [d <= decision.threshold for d, same in between if not same]
    far = [d > decision.threshold for d, same in between if same]
    row = f"c1 · c2 {len(near):,} {len(far)} {rate_text(np.mean(near))} {rate_text(np.mean(far))} "
    assert row in page.text
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert {"Reliability", "ROC", "DET"} <= {re.split(r"[ ;]", label)[0] for label in labels}
    assert "promises are kept" in page.text and "look like those of the calibration" in page.text


def test_the_card_has_the_decision_in_words(write, decision):
    page = write({"dim": 16, "decision": decision.plain()})
    assert str(decision) in page.text and "knots" not in page.source and "quantiles" not in page.source
    bare = write({"dim": 16, "decision": None})
    assert "Decisions" not in bare.text and "decision" not in bare.text and "dim 16" in bare.text


def test_points_of_the_calibration_lie_on_the_curves(others, decision):
    query, gallery = others
    decided = look(decision, query, gallery, protocols.market1501, "euclidean")
    charts = {name: chart for name, chart, _ in decided.charts}
    distances = pairwise(query.vectors, gallery.vectors)
    impostors = [d for _, _, d, same in every_pair(query, gallery, distances, "market1501") if not same]
    genuine = [d for _, _, d, same in every_pair(query, gallery, distances, "market1501") if same]
    (at_rate,) = [point for point in decision.facts.errors.points if point.wanted == 1e-3]
    fmr = np.mean(np.array(impostors) <= at_rate.threshold)
    found = np.mean(np.array(genuine) <= at_rate.threshold)
    told = f"<title>threshold for 0.1%: {100 * round(found, 4):.10g}% at {100 * fmr:.10g}%</title>"
    assert fmr > 0 and told in str(charts["ROC"].svg)
    assert [name for _, name in charts["DET"].legend][:2] == ["all thresholds", "the decision"]
    rates = [one.fmr or 0 for one in decided.cameras]
    assert rates == sorted(rates, reverse=True) and decided.cameras_left_out == 0


def test_every_number_has_its_range(write, others):
    query, gallery = others
    report = evaluate(query, gallery)
    hits = np.array(report.first_match) == 1
    page = write(None)
    low, high = (float(one) / 100 for one in re.search(r"95%: ([\d.]+)% to ([\d.]+)%", page.text).groups())
    error = 1.96 * hits.std() / np.sqrt(len(hits))
    assert (low, high) == pytest.approx((hits.mean() - error, hits.mean() + error), abs=0.2 * error)
    assert page.text.count("95%: ") == 4


def test_a_decision_about_something_else_is_refused(write, decision):
    with pytest.raises(DataError, match="about euclidean distances, not cosine"):
        write({"decision": decision.plain()}, metric="cosine")
    plain = json.loads(json.dumps(decision.plain())) | {"fingerprint": "bb"}
    with pytest.raises(DataError, match="calibrated on embeddings of bb but these are of aa"):
        write({"decision": plain})
