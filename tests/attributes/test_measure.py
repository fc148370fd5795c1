import json
import math

import numpy as np
import pytest

from resight import DataError
from resight.attributes.measure import (
    AGES,
    DOWN_COLOURS,
    OFFICIAL,
    UP_COLOURS,
    measure_attributes,
    official_accuracy,
    predict12,
)

BINARY = ("backpack", "bag", "handbag", "clothes", "down", "up", "hair", "hat", "gender")
NAMES = (*BINARY, *UP_COLOURS, *DOWN_COLOURS, "upmulticolor", "downmulticolor", *AGES)


def plain(truth, probabilities, threshold=0.5):
    """The definitions, one image and one attribute at a time."""
    images = [i for i in range(len(truth)) if truth[i][0] != 255]
    count = len(truth[0])
    result = {key: [] for key in ("accuracy", "balanced", "precision", "recall", "f1", "positives")}
    for a in range(count):
        tp = fp = fn = tn = 0
        for i in images:
            said = probabilities[i][a] >= threshold
            if truth[i][a]:
                tp, fn = tp + said, fn + (not said)
            else:
                fp, tn = fp + said, tn + (not said)
        result["positives"].append(tp + fn)
        result["accuracy"].append((tp + tn) / len(images))
        some = tp + fn > 0
        result["balanced"].append((tp / (tp + fn) + tn / (tn + fp)) / 2 if some and tn + fp else math.nan)
        precision = (tp / (tp + fp) if tp + fp else 0.0) if some else math.nan
        recall = tp / (tp + fn) if some else math.nan
        result["precision"].append(precision)
        result["recall"].append(recall)
        both = precision + recall
        result["f1"].append(2 * precision * recall / both if some and both else 0.0 if some else math.nan)
    result["mA"] = mean([b for b in result["balanced"] if not math.isnan(b)])
    result["macro_accuracy"] = mean(result["accuracy"])
    for key in ("precision", "recall", "f1"):
        result[f"macro_{key}"] = mean([value for value in result[key] if not math.isnan(value)])
    accuracy, precision, recall = [], [], []
    for i in images:  # dangweili/pedestrian-attribute-recognition-pytorch, evaluate.py
        has = {a for a in range(count) if truth[i][a]}
        said = {a for a in range(count) if probabilities[i][a] >= threshold}
        if not has:
            continue
        accuracy.append(len(has & said) / len(has | said))
        precision.append(len(has & said) / (len(said) or 1))
        recall.append(len(has & said) / len(has))
    result["instance_accuracy"], p, r = mean(accuracy), mean(precision), mean(recall)
    result["instance_precision"], result["instance_recall"] = p, r
    result["instance_f1"] = 2 * p * r / (p + r) if p + r else 0.0
    return result


def mean(values):
    return sum(values) / len(values)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_equals_the_plain_loop(seed, threshold):
    rng = np.random.default_rng(seed)
    share = np.array([0.0, 1.0, 0.02, 0.3, 0.5, 0.9])  # never, always, rare, ...
    truth = (rng.random((40, 6)) < share).astype(np.uint8)
    truth[:5, 1:] = 0
    truth[:5, 1] = seed % 2  # without it, some images have nothing at all
    truth[rng.random(40) < 0.2] = 255
    chances = rng.random((40, 6)).astype(np.float32)
    chances[:3] = 0.1  # nothing is predicted
    expected = plain(truth.tolist(), chances.tolist(), threshold)
    report = measure_attributes(truth, chances, "abcdef", threshold)
    for key, value in expected.items():
        np.testing.assert_allclose(getattr(report, key), value, rtol=1e-12, err_msg=key)
    assert report.images + report.unknown == 40 and report.unknown == (truth[:, 0] == 255).sum() > 0
    assert "a" in report.left_out


def test_hand_worked():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [255, 255, 255], [0, 0, 0]], np.uint8)
    chances = [[0.9, 0.8, 0.1], [0.4, 0.5, 0.1], [0.2, 0.49, 0.9], [1, 1, 1], [0, 0, 0]]
    report = measure_attributes(truth, chances, ("hat", "bag", "wings"))
    # hat: TP 1, FN 1, TN 2; bag: TP 1 (0.5 counts), FN 1, FP 1, TN 1; wings: FP 1, TN 3
    assert report.positives.tolist() == [2, 2, 0]
    np.testing.assert_allclose(report.accuracy, [3 / 4, 2 / 4, 3 / 4])
    np.testing.assert_allclose(report.balanced, [(1 / 2 + 2 / 2) / 2, (1 / 2 + 1 / 2) / 2, np.nan])
    np.testing.assert_allclose(report.precision, [1, 1 / 2, np.nan])
    np.testing.assert_allclose(report.recall, [1 / 2, 1 / 2, np.nan])
    np.testing.assert_allclose(report.f1, [2 / 3, 1 / 2, np.nan])
    assert report.mA == pytest.approx((3 / 4 + 1 / 2) / 2) and report.left_out == ("wings",)
    assert report.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
    # images: {hat} as {hat, bag}; {hat, bag} as {bag}; {bag} as {wings}; the last has nothing and is left out
    assert report.instance_accuracy == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert report.instance_precision == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert report.instance_recall == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert report.instance_f1 == pytest.approx(1 / 2)
    assert (report.images, report.unknown) == (4, 1)
    assert "without wings" in str(report) and "mA 62.50%" in str(report)


def test_numbers_are_valid_json():
    report = measure_attributes([[0, 1]], [[0.9, 0.9]], ("hat", "bag"))
    numbers = json.loads(json.dumps(report.numbers(), allow_nan=False))
    hat, bag = numbers["attributes"]
    assert hat == {
        "name": "hat", "positives": 0, "accuracy": 0.0, "balanced": None, "precision": None, "recall": None, "f1": None,
    }  # fmt: skip
    assert bag["recall"] == 1 and numbers["mA"] is None and numbers["left_out"] == ["hat", "bag"]
    assert numbers["macro_precision"] == 1 and numbers["instance_precision"] == 0.5
    assert "mA undefined" in str(report)


def test_a_model_that_always_says_no():
    report = measure_attributes([[1, 0], [0, 1]], np.zeros((2, 2)), ("hat", "bag"))
    assert report.mA == 0.5 and report.macro_accuracy == 0.5
    assert report.macro_precision == report.macro_f1 == report.instance_f1 == report.instance_precision == 0


def test_the_official_columns():
    chances = np.zeros((3, len(NAMES)))

    def say(image, **values):
        for name, value in values.items():
            chances[image, NAMES.index(name)] = value

    say(0, gender=0.7, hair=0.5, adult=0.4, old=0.3, up=0.9, downpurple=0.2, upyellow=0.6, upblack=0.3)
    say(1, young=0.1, teenager=0.2, hat=0.8, bag=0.9, upmulticolor=0.9, upgreen=0.2, upblue=0.1, downbrown=0.5)
    say(2, old=0.9, down=1, clothes=1, backpack=1, handbag=1, upwhite=1, downpink=1)
    expected = {  # gender 2 is female, hair 2 is long, ...; colours in the order of evaluate_market_attribute.m
        "gender": [2, 1, 1], "hair": [2, 1, 1], "age": [3, 2, 4], "up": [2, 1, 1], "down": [1, 1, 2],
        "clothes": [1, 1, 2], "hat": [1, 2, 1], "backpack": [1, 1, 2], "bag": [1, 2, 1], "handbag": [1, 1, 2],
        "upper colour": [8, 7, 2], "lower colour": [9, 7, 3],
    }  # fmt: skip
    assert list(expected) == list(OFFICIAL)
    assert predict12(chances, NAMES).T.tolist() == list(expected.values())
    order = np.random.default_rng(0).permutation(len(NAMES))
    shuffled = predict12(chances[:, order], [NAMES[a] for a in order])
    assert shuffled.T.tolist() == list(expected.values())


@pytest.mark.parametrize(
    ("column", "start", "colours"),
    [
        (10, "up", "black white red purple gray blue green yellow"),
        (11, "down", "black white pink gray blue green brown yellow purple"),
    ],
)
def test_colours_are_numbered_as_in_the_official_script(column, start, colours):
    for number, colour in enumerate(colours.split(), start=1):
        chances = [[float(name == start + colour) for name in NAMES]]
        assert predict12(chances, NAMES)[0, column] == number


def test_the_official_score():
    truth = np.tile(np.arange(1, 13), (4, 1))
    predicted = truth.copy()
    predicted[0] += 1  # one image wrong everywhere
    predicted[1, 0] += 1
    truth[2:, 10] = 0  # two people whose upper colour nobody can name
    right, average = official_accuracy(truth, predicted)
    assert right.tolist() == [0.5, *[0.75] * 9, 0.25, 0.75]
    assert average == pytest.approx((0.5 + 10 * 0.75 + 0.25) / 12)


@pytest.mark.parametrize(
    ("truth", "chances", "names", "message"),
    [
        ([[0, 1]], [[0.5]], "ab", r"probabilities have shape \(1, 1\) and the labels \(1, 2\)"),
        ([[0, 1]], [[0.5, 0.5]], "a", r"shape \(1, 2\) for 1 names"),
        ([0, 1], [0.5, 0.5], "ab", r"shape \(2,\) for 2 names"),
        ([[0, 1], [1, 2]], [[0, 0], [0, 0]], "ab", "image 1 are neither all 0 or 1 nor all 255"),
        ([[0, 1], [1, 255]], [[0, 0], [0, 0]], "ab", "image 1 are neither"),
        ([[0, 1]], [[0, 1.5]], "ab", "sigmoid of the logits"),
        ([[0, 1]], [[0, np.nan]], "ab", "sigmoid of the logits"),
        ([[255, 255]], [[0, 0]], "ab", "None of the 1 images has attribute labels"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "ab", "None of the 0 images has attribute labels"),
    ],
)
def test_refusals(truth, chances, names, message):
    with pytest.raises(DataError, match=message):
        measure_attributes(truth, chances, tuple(names))


def test_refusals_of_the_official_score():
    with pytest.raises(DataError, match="needs the attribute upblue, which is not among the names"):
        predict12(np.zeros((1, 31)), [name for name in NAMES if name != "upblue"])
    with pytest.raises(DataError, match=r"shape \(1, 3\) for 32 names"):
        predict12(np.zeros((1, 3)), NAMES)
    ones = np.ones((2, 12), np.int64)
    for truth, predicted in ((ones, ones[:1]), (ones[:, :11], ones[:, :11]), (ones[:0], ones[:0]), (ones[0], ones[0])):
        with pytest.raises(DataError, match=r"needs \(N, 12\) labels"):
            official_accuracy(truth, predicted)
    with pytest.raises(DataError, match="labels count from 1"):
        official_accuracy(ones, ones - 1)
