"""Adapting a model to cameras of one's own: pseudo-labels, their memory, and the judgement without labels."""
