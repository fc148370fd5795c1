"""From files to batches: decoding, caching, augmenting."""
