"""Progress of a training run: on the terminal, and in records of experiments."""
