"""Images without labels to identities."""
