"""One call from two sets of embeddings to a report: ``evaluate(query, gallery)``."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.from_zero import from_one, said
from resight.records import DISTRACTOR, JUNK, Embeddings, Report
from resight.retrieval.evaluation import metrics
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.arguments import check_embeddings, check_rerank, choose_metric
from resight.retrieval.ranking.by_track import by_track
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY, Rerank, ranks_of_matches
from resight.retrieval.ranking.reassociation import ranks_among_later
from resight.retrieval.ranking.rough import Products
from resight.retrieval.ranking.validity import check_no_leak, check_same_model

NO_IDENTITY = "the query is junk or a distractor"
NOT_IN_GALLERY = "its identity is not in the gallery"
LEFT_OUT = "the protocol leaves out all images of its identity"
NO_CANDIDATES = "it has fewer than two candidates, or its identity is not among them"


def evaluate(
    query: Embeddings,
    gallery: Embeddings,
    *,
    protocol: str | Protocol = "market1501",
    metric: str | None = None,
    rerank: Rerank | None = None,
    memory: int = MEMORY,
    products: Products | None = None,
) -> Report:
    """How well the gallery, sorted by distance, answers the queries.

    Args:
        query: Q embeddings with identities (and cameras, if the protocol needs them). The identity 0 is a person
            where nothing says that it marks distractors, see :mod:`resight.from_zero`.
        gallery: G embeddings with the same columns, made by the same model.
        protocol: one by name, such as "market1501", "single_camera" or "mars_official", see
            :mod:`resight.retrieval.ranking.protocols`.
        metric: "euclidean" or "cosine", see :mod:`resight.retrieval.ranking.distance`; None for that of the embeddings'
            model, euclidean where it is unknown.
        rerank: :class:`resight.KReciprocal` to sort by its distances instead; the report says which and with what
            parameters. It sees all queries and the whole gallery, junk included; the protocol is applied afterwards.
        memory: bytes for a block of distances (default 256 MiB); it changes the speed, never the result.
        products: :class:`resight.embedding.products.TorchProducts` ("cuda") computes products on a GPU; the result is
            the same. Re-ranking stays on the processor.

    Returns:
        A :class:`resight.Report`, computed as :mod:`resight.retrieval.evaluation.metrics` says. Queries without a true
        match count nowhere; ``report.dropped`` says how many and ``report.reasons`` why. Where the protocol counts them
        as 0, ``report.unmatched`` says how many.

    Raises:
        DataError: an unknown protocol or metric, dimensions or fingerprints that differ, a missing column, vectors
            the metric cannot compare, an empty gallery, a query whose own file would count as an answer, no query
            with a true match, images where the protocol ranks tracklets, or re-ranking where it cannot be.
    """
    check_embeddings(query=query, gallery=gallery)
    check_rerank(rerank)
    labelled, (query, gallery) = query.identities, from_one(query, gallery)
    rules, metric = protocols.get(protocol), choose_metric(metric, query, gallery)
    check_same_model(query, gallery)
    if rules.joins_queries:
        gallery = _joined(gallery, query)
    if rules.tracklets:
        _check_pooled(query=query, gallery=gallery)
    ranked = gallery
    if rules.reassociates:
        if rerank is not None:
            raise DataError("Reassociation ranks the boxes of one frame, so it cannot be re-ranked: leave out rerank.")
        matches = ranks_among_later(query, gallery, metric)
    else:
        check_no_leak(query, gallery, rules)
        ranked, distances = by_track(gallery, rerank) if rules.by_track else (gallery, rerank)
        matches = ranks_of_matches(query, ranked, rules, metric, memory, distances, products)
    found = metrics.per_query(matches, trapezoids=rules.trapezoids)
    kept = found.first_match > 0
    assert query.identities is not None
    zero = ~kept & (query.identities > DISTRACTOR) if rules.counts_unmatched else np.zeros(len(query), np.bool_)
    _warn_of_zero(query)
    reasons = _reasons(query, gallery, ~kept & ~zero, NO_CANDIDATES if rules.reassociates else LEFT_OUT)
    if not kept.any():
        why = "; ".join(f"{count:,} because {reason}" for reason, count in reasons.items()) or "there are no queries"
        raise DataError(
            f"None of the {len(query):,} queries has a true match in the gallery under protocol {rules.name} ({why}): "
            "check that both use the same identities, and their cameras."
        )
    share = float(kept.sum() / (kept.sum() + zero.sum()))  # of the queries that count, those with a match
    return Report(
        mAP=share * float(found.average_precision[kept].mean()),
        cmc={k: share * value for k, value in metrics.cmc(found.first_match).items()},
        mINP=share * float(found.inverse_negative_penalty[kept].mean()),
        average_precision=np.where(zero, 0.0, found.average_precision),
        first_match=found.first_match,
        identities=labelled,
        queries=len(query),
        evaluated=int((kept | zero).sum()),
        dropped=int((~kept & ~zero).sum()),
        unmatched=int(zero.sum()),
        gallery=len(gallery),
        protocol=rules.name,
        metric=metric,
        reasons=reasons,
        rerank="" if rerank is None else str(rerank),
        precision={
            k: share * float(metrics.precision_at(matches, k)[kept].mean())
            for k in metrics.PRECISION_AT
            if k <= len(ranked)
        },
        r_precision=share * float(found.r_precision[kept].mean()),
    )


def _warn_of_zero(query: Embeddings) -> None:
    """Warn where 0 marks distractors among queries only because of junk beside it, as pandas numbers missing names."""
    assert query.identities is not None
    count = 0 if said(query) else int((query.identities == DISTRACTOR).sum())
    if count:
        warnings.warn(
            f"{count:,} queries have the identity 0, which marks distractors beside junk (-1), so they count nowhere: "
            "if 0 is a person, pass the labels as text, or make the embeddings with distractors=None.",
            stacklevel=3,
        )


def _joined(gallery: Embeddings, query: Embeddings) -> Embeddings:
    """The gallery and, after it, the queries."""
    if gallery.vectors.shape[1] != query.vectors.shape[1]:
        return gallery  # ranking says what does not fit
    identities, cameras = (
        None if one is None or other is None else np.concatenate([one, other])
        for one, other in ((gallery.identities, query.identities), (gallery.cameras, query.cameras))
    )
    return Embeddings(np.concatenate([gallery.vectors, query.vectors]), identities, cameras)


def _check_pooled(**given: Embeddings) -> None:
    """Raise DataError where two embeddings are of one tracklet."""
    for name, some in given.items():
        tracks = some.columns.get("tracks")
        if tracks is not None and len(np.unique(tracks)) < len(tracks):
            raise DataError(
                f"The {name} has {len(tracks):,} embeddings of {len(np.unique(tracks)):,} tracklets, but the protocol "
                "ranks tracklets: pass pool_tracks(...) of them (resight.embedding.tracks)."
            )


def _reasons(query: Embeddings, gallery: Embeddings, dropped: NDArray[np.bool_], otherwise: str) -> dict[str, int]:
    """Why the queries marked in ``dropped`` (Q,) bool were dropped, and how many for each reason."""
    assert query.identities is not None and gallery.identities is not None
    unlabelled = np.isin(query.identities, (JUNK, DISTRACTOR))
    absent = ~unlabelled & ~np.isin(query.identities, gallery.identities)
    counts = {
        NO_IDENTITY: int((dropped & unlabelled).sum()),
        NOT_IN_GALLERY: int((dropped & absent).sum()),
        otherwise: int((dropped & ~unlabelled & ~absent).sum()),
    }
    return {reason: count for reason, count in counts.items() if count}
