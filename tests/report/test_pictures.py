import base64
import io

import numpy as np
import pytest
from PIL import Image

from resight import DataError
from resight.report.pictures import Pictures, data_uri, shrink


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((256, 128), (128, 64)), ((100, 400), (32, 128)), ((20, 10), (20, 10)), ((1000, 1), (128, 1))],
)
def test_shrink_keeps_proportions_and_never_enlarges(shape, expected):
    assert shrink(np.zeros((*shape, 3), np.uint8)).shape == (*expected, 3)


def test_data_uri_is_the_picture_in_rgb():
    pixels = np.zeros((32, 16, 3), np.uint8)
    pixels[..., 0] = 200
    uri = data_uri(pixels)
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
    assert back.shape == pixels.shape and np.abs(back.astype(int) - pixels).max() < 5


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_not_an_rgb_image_is_refused(pixels):
    with pytest.raises(DataError, match=r"\(H, W, 3\) uint8 RGB"):
        shrink(pixels)


def test_each_path_is_decoded_once_and_gaps_are_counted():
    asked = []

    def decode(path):
        asked.append(path)
        if path == "bad":
            raise DataError("bad is bad.")
        return np.zeros((90, 120, 3), np.uint8)

    pictures = Pictures(decode)
    assert pictures.of("good") is not None and pictures.of("good") == pictures.of("good")
    assert pictures.of("bad") is None and pictures.of("bad") is None
    assert asked == ["good", "bad"]
    assert (pictures.unreadable, pictures.complaint, pictures.frame) == (1, "bad is bad.", (90, 120))
