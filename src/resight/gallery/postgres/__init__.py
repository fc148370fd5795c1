"""The shared engine: one PostgreSQL database is the record, for any number of programs on any number of machines."""
