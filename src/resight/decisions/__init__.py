"""From distances to decisions: calibrated thresholds, probabilities, and whether they still hold."""
