"""Models for other inference engines, checked against the original."""
