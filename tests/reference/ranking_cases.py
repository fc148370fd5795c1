"""Random query sets and galleries for the ranking tests."""

import numpy as np
from hypothesis import strategies as st

from resight import Embeddings


@st.composite
def cases(draw):
    """Two Embeddings: small integer vectors (many ties), junk, distractors, shared paths, queries without a match."""
    queries, gallery, dimensions = draw(st.integers(1, 7)), draw(st.integers(1, 14)), draw(st.integers(1, 3))

    def embeddings(count):
        def whole(low, high, size=count):
            return draw(st.lists(st.integers(low, high), min_size=size, max_size=size))

        vectors = np.array(whole(0, 2, count * dimensions), np.float32).reshape(count, dimensions)
        vectors += np.array([1] + [0] * (dimensions - 1), np.float32)  # never zero, so that cosine is defined
        return Embeddings(vectors, whole(-1, 3), whole(1, 2), [f"{i}.jpg" for i in whole(0, 5)])

    return embeddings(queries), embeddings(gallery)
