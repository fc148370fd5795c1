"""Synthetic people and vehicles, their cameras and scenes; no real person is in them."""

from resight.datasets.synthetic.dataset import Kind, attributes, draw, generate

__all__ = ["Kind", "attributes", "draw", "generate"]
