"""The numbers of the documentation, each with the command that measures it: ``python -m tools.reproduce --list``."""
