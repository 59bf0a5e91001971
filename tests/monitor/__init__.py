"""Tests of what looks at the GPUs, and at the daemon itself."""
