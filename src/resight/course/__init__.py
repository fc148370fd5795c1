"""The modified ResNet-18 course system: CSV data, its network, pred.csv."""
