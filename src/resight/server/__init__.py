"""The gallery over HTTP: search, add, name, erase; limits, keys, logs and metrics around it."""
