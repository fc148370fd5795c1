"""Data sets of tracklets: a person in one camera without a break, as a sequence of images."""
