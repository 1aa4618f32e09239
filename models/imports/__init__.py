"""Tables that people bring along: how a file is read, what its columns mean, and how values look as text. No I/O."""
