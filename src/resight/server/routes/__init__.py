"""The addresses of the service: they parse, call and answer."""
