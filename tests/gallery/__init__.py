"""Tests of the gallery: a package, so that its Milvus server ends with it, before other tests need the machine."""
