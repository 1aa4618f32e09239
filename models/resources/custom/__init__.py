"""Custom fields: what their values may be, and who sees and sets them."""
