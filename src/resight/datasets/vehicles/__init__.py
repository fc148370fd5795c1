"""Data sets of vehicles, one file each."""
