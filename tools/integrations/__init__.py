"""Tests with the real packages of others, each group in an environment of its own: ``python -m tools.integrations``."""
