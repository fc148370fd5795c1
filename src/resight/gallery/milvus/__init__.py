"""The cluster engine: a Milvus collection, with thumbnails and the log as objects."""
