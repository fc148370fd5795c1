"""Pure mathematics on arrays: distances, exact streamed ranks, metrics and protocols. Knows no torch and no models."""
