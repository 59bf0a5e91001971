"""Read-only HTTP: health and metrics."""
