"""From pictures, embeddings and lists to rows of the record, part by part."""
