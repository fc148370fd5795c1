"""Images in, embeddings out."""
