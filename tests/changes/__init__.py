"""How the configuration of a running daemon changes."""
