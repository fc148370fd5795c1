"""What is told of a run while it trains: on the terminal, and to records of experiments."""
