"""Distances, nearest neighbours, and which pairs a protocol counts."""
