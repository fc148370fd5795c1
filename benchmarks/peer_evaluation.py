"""The official Market-1501 test with given OSNet weights, measured by resight and by torchreid's own evaluator.

    python benchmarks/peer_evaluation.py

Embeds all queries and the whole gallery at 256x128, evaluates with Euclidean and cosine distances, and passes the same
embeddings through ``torchreid/reid/metrics/rank.py`` of the installed PyPI package (that file alone). CMC and mAP must
agree to 1e-6. Also prints the time and memory of both evaluations.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from deadline import add_deadline, limit

import resight
from resight.embedding.measure import measure
from resight.retrieval.ranking.distance import pairwise

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from peers import load_file

SHARED = Path(__file__).parents[2] / "shared"


def main() -> int:
    """Embed once, evaluate twice, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=SHARED / "data" / "Market-1501-v15.09.15.zip")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights" / "osnet_x0_25_msmt17.pth")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    add_deadline(parser, 7200)
    options = parser.parse_args()
    limit(options.deadline)
    for path in (options.root, options.weights):
        if not path.exists():
            print(f"{path} does not exist: pass --root and --weights.", file=sys.stderr)
            return 2
    data = resight.datasets.load("market1501", options.root)
    model = resight.load("osnet_x0_25", weights=options.weights)
    began = time.perf_counter()
    query, gallery, _ = measure(model, data)
    embedding = time.perf_counter() - began
    rows, worst = [], 0.0
    peer = load_file("torchreid", "reid/metrics/rank.py")
    known = gallery.identities != -1  # torchreid drops junk when it reads the data
    for metric in ("euclidean", "cosine"):
        began = time.perf_counter()
        ours = resight.evaluate(query, gallery, metric=metric)
        took, memory = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        began = time.perf_counter()
        distances = pairwise(query.vectors, gallery.vectors[known], metric)
        cmc, mean = peer.evaluate_rank(
            distances, query.identities, gallery.identities[known], query.cameras, gallery.cameras[known],
            use_cython=False,
        )  # fmt: skip
        peer_took = time.perf_counter() - began
        error = max(abs(ours.mAP - float(mean)), float(np.abs([ours.cmc[k] - cmc[k - 1] for k in range(1, 51)]).max()))
        worst = max(worst, error)
        rows.append(
            ours.numbers()
            | {"largest difference": error, "seconds": took, "torchreid seconds": peer_took, "GiB": memory}
        )
    count = len(query) + len(gallery)
    if options.json:
        print(json.dumps({"rows": rows, "images": count, "embedding_seconds": embedding}, indent=2))
    else:
        print(f"{count:,} images embedded in {embedding:.0f} s ({count / embedding:,.0f} images/s)")
        for row in rows:
            print(
                f"{row['metric']:>9}: R1 {row['cmc']['1']:.2%}  R5 {row['cmc']['5']:.2%}  R10 {row['cmc']['10']:.2%}  "
                f"mAP {row['mAP']:.2%}  mINP {row['mINP']:.2%}  differs by {row['largest difference']:.1e}"
                f"   {row['seconds']:.1f} s, torchreid {row['torchreid seconds']:.1f} s"
            )
    return int(worst > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
