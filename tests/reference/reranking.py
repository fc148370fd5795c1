"""k-reciprocal re-ranking written as the paper does: Python sets, one image at a time, every matrix dense."""

import math


def order(i, distances):
    """All images as image ``i`` sees them: itself, then nearer first, among equals the lower index."""
    row = [float(d) for d in distances[i]]
    return sorted(range(len(row)), key=lambda j: (j != i, row[j], j))


def reciprocal(i, k, orders):
    return {j for j in orders[i][: k + 1] if i in orders[j][: k + 1]}


def encode(distances, k1, k2, squared=True):
    """V as a list of dictionaries {column: weight}, and D; ``squared`` where distances have to be squared first."""
    count = len(distances)
    orders = [order(i, distances) for i in range(count)]
    half = int(k1 / 2 + 0.5) if k1 % 4 != 1 else k1 // 2  # 0.5 goes to the even neighbour: 5 / 2 to 2, 7 / 2 to 4
    compared, rows = [], []
    for i in range(count):
        row = [float(d) ** 2 if squared else float(d) for d in distances[i]]
        largest = max(row) or 1.0
        compared.append([d / largest for d in row])
        near = reciprocal(i, k1, orders)
        expanded = set(near)
        for j in near:
            others = reciprocal(j, half, orders)
            if 3 * len(others & near) > 2 * len(others):
                expanded |= others
        weights = {j: math.exp(-compared[i][j]) for j in sorted(expanded)}
        rows.append({j: weight / sum(weights.values()) for j, weight in weights.items()})
    averaged = []
    for i in range(count):
        chosen = orders[i][:k2]
        columns = {j for other in chosen for j in rows[other]}
        averaged.append({j: sum(rows[other].get(j, 0.0) for other in chosen) / len(chosen) for j in sorted(columns)})
    return averaged, compared


def jaccard(one, other):
    least = sum(min(one[j], other[j]) for j in set(one) & set(other))
    most = sum(one.values()) + sum(other.values()) - least  # the greater of two numbers is both without the lesser
    return 1 - least / most


def rerank(distances, queries, k1, k2, lambda_value, squared=True):
    """The (Q, G) distances from the (N, N) plain ones, of which the first ``queries`` are the queries'."""
    encoded, compared = encode(distances, k1, k2, squared)
    return [
        [
            (1 - lambda_value) * jaccard(encoded[q], encoded[g]) + lambda_value * compared[q][g]
            for g in range(queries, len(distances))
        ]
        for q in range(queries)
    ]
