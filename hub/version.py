"""Which version this is, as clients and other nodes are told."""

from __future__ import annotations

#: The version in pyproject.toml.
VERSION = "0.1.0"
