"""Ranking and its metrics written as plainly as possible: Python loops and Python's stable sort, one pair at a time."""

import math


def euclidean(a, b):
    return math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def cosine(a, b):
    product = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    lengths = math.sqrt(sum(float(x) ** 2 for x in a)) * math.sqrt(sum(float(y) ** 2 for y in b))
    return 1 - product / lengths


def valid(q, g, query, gallery, protocol):
    """Whether gallery image ``g`` stays in for query ``q``; ``query`` and ``gallery`` are Embeddings or Tracks."""
    identity = gallery.identities[g]
    if identity == -1:
        return False
    person = identity == query.identities[q] and identity > 0
    if protocol in ("market1501", "image_to_track", "tracklets", "mars_torchreid", "mars_joined", "mars_official"):
        return not (person and gallery.cameras[g] == query.cameras[q])
    if protocol == "tracklets_single_camera":
        return True
    assert protocol == "single_camera"
    return gallery.paths is None or query.paths is None or gallery.paths[g] != query.paths[q]


class Tracks:
    """A gallery's tracks in the order of their first images, with those images' labels."""

    def __init__(self, gallery):
        numbers = gallery.columns["tracks"].tolist()
        self.images = [[g for g, t in enumerate(numbers) if t == track] for track in dict.fromkeys(numbers)]
        self.identities = [gallery.identities[images[0]] for images in self.images]
        self.cameras = [gallery.cameras[images[0]] for images in self.images]

    def __len__(self):
        return len(self.images)

    def nearest(self, distances):
        """Of each query to each track."""
        return [[min(row[g] for g in images) for images in self.images] for row in distances]


def leaks(query, gallery, protocol):
    """Whether some query's own file counts for it in the gallery."""
    return any(
        query.paths[q] == gallery.paths[g] and query.identities[q] > 0 and valid(q, g, query, gallery, protocol)
        for q in range(len(query))
        for g in range(len(gallery))
    )


def order(q, query, gallery, distances, protocol):
    """The valid gallery images of query ``q``, nearest first; Python's sort is stable."""
    left = [g for g in range(len(gallery)) if protocol is None or valid(q, g, query, gallery, protocol)]
    return sorted(left, key=lambda g: distances[q][g])


def hits(q, query, gallery, distances, protocol):
    """One boolean per valid gallery image, nearest first."""
    identity = query.identities[q]
    ranked = order(q, query, gallery, distances, protocol)
    return [bool(gallery.identities[g] == identity and identity > 0) for g in ranked]


class Joined:
    """A gallery with the queries behind it."""

    paths = None

    def __init__(self, gallery, query):
        self.identities = [*gallery.identities, *query.identities]
        self.cameras = [*gallery.cameras, *query.cameras]

    def __len__(self):
        return len(self.identities)


def evaluate_tracklets(query, gallery, to_gallery, to_queries, protocol):
    """(counted queries, mAP, R1, first matches) of tracklets; the queries are in the gallery where a protocol says so.

    Average precision of ``mars_official`` is that of the MATLAB code: recall times the mean of the precision now and
    before, hit by hit.
    """
    distances = to_gallery
    if protocol in ("mars_joined", "mars_official"):
        gallery = Joined(gallery, query)
        distances = [[*near, *far] for near, far in zip(to_gallery, to_queries, strict=True)]
    counted, precisions, firsts = 0, [], []
    for q in range(len(query)):
        answers = hits(q, query, gallery, distances, protocol)
        firsts.append(answers.index(True) + 1 if any(answers) else 0)
        if not any(answers):
            counted += protocol == "mars_official" and query.identities[q] > 0
            continue
        counted += 1
        total, old_recall, old_precision, right = 0.0, 0.0, 1.0, 0
        for rank, answer in enumerate(answers, start=1):
            right += answer
            recall, precision = right / sum(answers), right / rank
            total += (recall - old_recall) * (
                (old_precision + precision) / 2 if protocol == "mars_official" else precision
            )
            old_recall, old_precision = recall, precision
        precisions.append(total)
    if not precisions:
        return None
    return counted, sum(precisions) / counted, sum(first == 1 for first in firsts) / counted, firsts


def reassociate(query, gallery, distances):
    """The ranks of the true matches of each query among the boxes of its camera in its later frame."""
    found = []
    for q in range(len(query)):
        later, camera, who = query.columns["later_frames"][q], query.cameras[q], query.identities[q]
        there = [
            g
            for g in range(len(gallery))
            if gallery.cameras[g] == camera and gallery.columns["frames"][g] == later and gallery.identities[g] != -1
        ]
        ranked = sorted(there, key=lambda g: distances[q][g])
        ranks = [rank for rank, g in enumerate(ranked, start=1) if gallery.identities[g] == who and who > 0]
        found.append(ranks if len(there) >= 2 else [])
    return found


def evaluate(query, gallery, distances, protocol, most=50):
    """The numbers of resight.Report as a dictionary, or None if no query has a match."""
    if protocol == "image_to_track":
        gallery = Tracks(gallery)
        distances = gallery.nearest(distances)
    precisions, penalties, firsts, shares = [], [], [], []
    for q in range(len(query)):
        answers = hits(q, query, gallery, distances, protocol)
        if not any(answers):
            precisions.append(math.nan)
            firsts.append(0)
            continue
        right, total, last = 0, 0.0, 0
        for rank, answer in enumerate(answers, start=1):
            if answer:
                right += 1
                total += right / rank
                last = rank
        precisions.append(total / right)
        firsts.append(answers.index(True) + 1)
        penalties.append(right / last)
        among = {k: sum(answers[:k]) / k for k in (1, 5, 10, 20, 50) if k <= len(gallery)}
        shares.append(among | {"R": sum(answers[:right]) / right})
    kept = [p for p in precisions if not math.isnan(p)]
    if not kept:
        return None
    return {
        "mAP": sum(kept) / len(kept),
        "mINP": sum(penalties) / len(penalties),
        "cmc": {k: sum(0 < first <= k for first in firsts) / len(kept) for k in range(1, most + 1)},
        "precision": {k: sum(share[k] for share in shares) / len(shares) for k in shares[0] if k != "R"},
        "r_precision": sum(share["R"] for share in shares) / len(shares),
        "average_precision": precisions,
        "first_match": firsts,
        "evaluated": len(kept),
        "dropped": len(precisions) - len(kept),
    }
