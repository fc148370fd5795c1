"""Millions of images to embeddings on disk, in parts, on one machine or on many."""
