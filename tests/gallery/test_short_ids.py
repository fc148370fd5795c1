"""The first digits of an id, against a look at every id there is."""

import numpy as np
import pytest

import resight
from resight import DataError
from resight.gallery.short_ids import whole_ids
from resight.models.card import Card


def test_what_begins_like_one_record_is_that_record(gallery_uri: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    with resight.Gallery.open(gallery_uri, Card(architecture="drawn", dim=4, fingerprint="drawn")) as gallery:
        ids = list(gallery.add(resight.Embeddings(vectors)).ids)
        starts = {id[:digits] for id in ids[::30] for digits in (1, 2, 3, 4, 12, 32)}
        ambiguous = 0
        for start in sorted(starts):
            fitting = [id for id in ids if id.startswith(start)]
            if len(fitting) == 1:
                assert whole_ids(gallery, [start, f" {start.upper()}\n"]) == fitting
            else:
                ambiguous += 1
                with pytest.raises(DataError, match="Several records"):
                    whole_ids(gallery, [start])
        assert 0 < ambiguous < len(starts)
        assert whole_ids(gallery, ids) == ids and whole_ids(gallery, []) == []
        missing = next(digit * 3 for digit in "0123456789abcdef" if not any(id.startswith(digit * 3) for id in ids))
        with pytest.raises(DataError, match="has no record"):
            whole_ids(gallery, [missing])
        for wrong in ("", "g", "-1", "0" * 33, "0x1"):
            with pytest.raises(DataError, match="no record's id"):
                whole_ids(gallery, [wrong])
