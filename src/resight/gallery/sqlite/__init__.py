"""The embedded record: one SQLite file, searched with FAISS."""
