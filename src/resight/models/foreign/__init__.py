"""Checkpoints of other projects, by their own key names."""
