"""The vectors of a gallery as one array, and exact searches of it, whichever engine keeps the record."""
