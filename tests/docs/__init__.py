"""The documents against the code and a running daemon."""
