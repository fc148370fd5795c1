"""Pairs one by one, and people whose embeddings are drawn from known distributions."""

import numpy as np

from reference import ranking as plain
from resight import Embeddings
from resight.decisions.pairs import STEPS, Pairs, step_of


def every_pair(query, gallery, distances, protocol):
    """(query, gallery image, distance, whether genuine) of each pair that counts."""
    for q in range(len(query)):
        identity = query.identities[q]
        if identity <= 0:
            continue
        for g in range(len(gallery)):
            if plain.valid(q, g, query, gallery, protocol):
                yield q, g, float(distances[q][g]), bool(gallery.identities[g] == identity)


def pairs_of(genuine, impostors):
    """Pairs with these distances; every genuine one is a query of its own, which has no other neighbours."""
    genuine = np.asarray(genuine, np.float32)
    count = len(genuine)
    return Pairs(
        genuine,
        np.arange(count),
        np.arange(count),
        np.bincount(step_of(impostors), minlength=STEPS),
        genuine,
        np.full(count, np.inf, np.float32),
        np.ones(count, bool),
        np.ones(count, bool),
    )


def people(rng, identities, images=6, cameras=2, noise=0.5, dimensions=16, first=1, fingerprint=""):
    """Identities around centres of their own, each image in one camera after the other."""
    who = np.repeat(np.arange(first, first + identities), images)
    centres = rng.normal(size=(identities, dimensions))
    vectors = centres[who - first] + noise * rng.normal(size=(len(who), dimensions))
    seen_by = np.tile(np.arange(images) % cameras + 1, identities)
    paths = [f"{n}.jpg" for n in range(len(who))]
    return Embeddings(vectors.astype(np.float32), who, seen_by, paths, fingerprint=fingerprint)
