"""Migrations in order. The number of the last one is the `schema` of an event."""
