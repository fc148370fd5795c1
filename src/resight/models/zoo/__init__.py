"""Public models by name: address, hash, licence and card of each; ``resight.load("zoo:NAME")``."""
