"""The daemon's lease on each of its GPUs: in Redis, or on the state directory where there is none."""
