"""Which GPUs this host has, and which processes are on them."""
