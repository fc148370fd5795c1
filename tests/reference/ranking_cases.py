"""Random query sets and galleries for the ranking tests."""

import numpy as np
from hypothesis import strategies as st

from resight import Embeddings


@st.composite
def cases(draw, honest=True):
    """Two Embeddings: small integer vectors (many ties), junk, distractors, shared paths, queries without a match.

    Images with equal paths have equal labels where that is ``honest``.
    """
    queries, gallery, dimensions = draw(st.integers(1, 7)), draw(st.integers(1, 14)), draw(st.integers(1, 3))
    labels = {}

    def embeddings(count):
        def whole(low, high, size=count):
            return draw(st.lists(st.integers(low, high), min_size=size, max_size=size))

        vectors = np.array(whole(0, 2, count * dimensions), np.float32).reshape(count, dimensions)
        vectors += np.array([1] + [0] * (dimensions - 1), np.float32)  # never zero, so that cosine is defined
        who, where, paths = whole(-1, 3), whole(1, 2), whole(0, 11 if honest else 5)
        if honest:
            both = [labels.setdefault(path, label) for path, *label in zip(paths, who, where, strict=True)]
            who, where = zip(*both, strict=True)
        return Embeddings(vectors, who, where, [f"{i}.jpg" for i in paths], distractors=0)

    return embeddings(queries), embeddings(gallery)


@st.composite
def track_cases(draw):
    """As :func:`cases`, in which gallery images are in tracks of one identity and camera, in any order."""
    query, gallery = draw(cases())
    tracks = np.array(draw(st.lists(st.integers(-1, 6), min_size=len(gallery), max_size=len(gallery))), np.int64)
    first = np.array([np.flatnonzero(tracks == track)[0] for track in tracks])
    return query, Embeddings(
        gallery.vectors, gallery.identities[first], gallery.cameras[first], columns={"tracks": tracks}
    )
