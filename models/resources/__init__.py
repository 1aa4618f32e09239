"""The kinds of records: one declaration each, from which validation, shapes, filters and access follow."""
