"""Rankings improved by the neighbours of neighbours."""
