"""Attribute recognition, and re-identification with attributes (Lin et al. 2019)."""
