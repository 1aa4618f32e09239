"""The Centrifuge client protocol, version 2."""
