"""Distances, who is nearest, and which pairs a protocol counts."""
