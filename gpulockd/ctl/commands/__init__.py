"""One file per command, each with `configure` for its arguments and `run`."""
