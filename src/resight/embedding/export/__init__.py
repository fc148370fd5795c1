"""Models for other inference engines, checked against the original."""

from resight.embedding.export.run import export as export
