from dataclasses import replace

import numpy as np
import pytest

from resight import DataError, Embeddings
from resight.attributes.distance import LinearAttributes, reliability, weighted
from resight.attributes.reidentify import Part, best, compare, labels, probabilities
from resight.attributes.threshold import choose_threshold, measure_matches
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.within import matches_within

NAMES = tuple("abcdefgh")


def outputs(rng, first, count, images, columns=True):
    """Logits of ``count`` people: the first four attributes are seen well, the others are guessed at loudly."""
    who = rng.integers(0, 2, (count, 8))
    ids = np.repeat(np.arange(first, first + count), images)
    truth = who[ids - first]
    logits = 2.0 * (2 * truth - 1) + rng.normal(size=truth.shape)
    logits[:, 4:] = 6 * rng.normal(size=(len(ids), 4))
    cameras = np.tile(np.arange(images), count)
    kept = {"attributes": truth.astype(np.uint8)} if columns else {}
    return Embeddings(logits.astype(np.float32), ids, cameras, [f"{i}.jpg" for i in range(len(ids))], kept)


def part(rng, first, count):
    everyone = outputs(rng, first, count, 5)
    asked = everyone.cameras == 0

    def of(which):
        kept = {"attributes": everyone.columns["attributes"][which]}
        return Embeddings(
            everyone.vectors[which], everyone.identities[which], everyone.cameras[which], everyone.paths[which], kept
        )

    return Part(of(asked), of(~asked), "market1501")


@pytest.fixture
def parts(rng):
    """(train, validation, evaluated): people nobody shares."""
    return outputs(rng, 1, 40, 5), part(rng, 100, 25), part(rng, 200, 30)


def test_three_ways_measured_by_hand(parts):
    train, validation, evaluated = parts
    together = np.concatenate([validation.query.vectors, validation.gallery.vectors])
    truth = np.concatenate([labels(validation.query), labels(validation.gallery)])
    weights = reliability(truth, 1 / (1 + np.exp(-together.astype(np.float64))), NAMES)
    layer = LinearAttributes.fit(train.vectors, train.identities)
    ways = {"plain": lambda x: x, "weighted": lambda x: weighted(x, weights), "linear": layer}
    found = compare(train, validation, evaluated, NAMES, beta=2.0)
    assert [one.name for one in found] == list(ways)
    for one, way in zip(found, ways.values(), strict=True):

        def seen(outputs, way=way):
            return Embeddings(way(outputs.vectors), outputs.identities, outputs.cameras, outputs.paths)

        asked, there = seen(validation.query), seen(validation.gallery)
        assert one.validation.mAP == evaluate(asked, there).mAP
        assert one.threshold == choose_threshold(asked, there, "market1501", beta=2.0)
        asked, there = seen(evaluated.query), seen(evaluated.gallery)
        assert one.report.mAP == evaluate(asked, there).mAP
        sets = matches_within(asked, there, one.threshold.distance, protocol="market1501")
        assert one.matches.indices.tolist() == sets.indices.tolist()
        assert one.matched == measure_matches(sets, asked, there, "market1501")


def test_weights_and_layer_help_where_some_outputs_are_noise(parts):
    plain, weighed, linear = compare(*parts, NAMES)
    assert weighed.report.mAP > plain.report.mAP + 0.1 and linear.report.mAP > plain.report.mAP + 0.1
    chosen = best([plain, weighed, linear])
    assert chosen.validation.mAP == max(one.validation.mAP for one in (plain, weighed, linear))
    assert chosen is not plain


def test_the_best_is_chosen_on_validation_people_not_on_the_measured(parts):
    train, validation, evaluated = parts
    variants = compare(train, validation, evaluated, NAMES)
    shuffled = Embeddings(
        evaluated.gallery.vectors[::-1].copy(), evaluated.gallery.identities, evaluated.gallery.cameras
    )
    others = compare(train, validation, Part(evaluated.query, shuffled, "market1501"), NAMES)
    assert best(others).name == best(variants).name
    reports = [one.report for one in variants]
    turned = [replace(one, report=report) for one, report in zip(variants, reports[1:] + reports[:1], strict=True)]
    assert best(turned).name == best(variants).name
    assert [one.threshold for one in others] == [one.threshold for one in variants]
    assert max(one.report.mAP for one in others) < min(one.report.mAP for one in variants)


def test_probabilities_of_any_logit():
    logits = np.array([[-1000, -80, -1, 0, 1, 80, 1000]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        found = probabilities(logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [0, np.exp(-80.0), 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1, 1], rtol=1e-5)


def test_what_is_missing_is_named(parts):
    train, validation, evaluated = parts
    bare = Part(Embeddings(validation.query.vectors, [1] * 25, [1] * 25), validation.gallery, "market1501")
    with pytest.raises(DataError, match="no attribute labels"):
        compare(train, bare, evaluated, NAMES)
    with pytest.raises(DataError, match="train outputs have no identities"):
        compare(Embeddings(train.vectors), validation, evaluated, NAMES)
