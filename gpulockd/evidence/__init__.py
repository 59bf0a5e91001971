"""Settings by measurement: a benchmark of real workers, and what recorded history says of a change."""
