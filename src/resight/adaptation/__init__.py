"""Adapting a model to the user's own cameras: pseudo-labels, cluster memory, and judging progress without labels."""
