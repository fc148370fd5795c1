// What a threshold means: decisions, and the rates that the calibration expects.

export const MATCH = "match";
export const UNSURE = "unsure";
export const NO_MATCH = "no match";

/** The decision on a distance: beyond the threshold it is unsure up to where the calibration saw no more matches. */
export function decide(distance, threshold, noMatchBeyond) {
  if (distance <= threshold) return MATCH;
  return distance > Math.max(threshold, noMatchBeyond) ? NO_MATCH : UNSURE;
}

/**
 * The rates at a threshold, from the points of the calibration's curve in ascending order. Between two points the
 * false-match rate runs straight in its logarithm and the miss rate as it is; outside, the end's rates are bounds.
 *
 * @returns {{falseMatch: number, missed: number, outside: "" | "below" | "above"} | null}
 */
export function ratesAt(curve, threshold) {
  if (!curve?.length) return null;
  const above = curve.findIndex((point) => point.threshold >= threshold);
  if (above <= 0) {
    const end = above ? curve.at(-1) : curve[0];
    const outside = end.threshold === threshold ? "" : above ? "above" : "below";
    return { falseMatch: end.false_match_rate, missed: end.miss_rate, outside };
  }
  const [low, high] = [curve[above - 1], curve[above]];
  const share = (threshold - low.threshold) / (high.threshold - low.threshold);
  const missed = low.miss_rate + share * (high.miss_rate - low.miss_rate);
  const [rare, often] = [low.false_match_rate, high.false_match_rate];
  const falseMatch = rare > 0 ? rare * (often / rare) ** share : share * often;
  return { falseMatch, missed, outside: "" };
}
