"""The numbers of the documentation, each with the command that gives it, and whether it still does."""
