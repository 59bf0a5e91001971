"""Who gets which GPU: pure decisions. Standard library only; no I/O, no clock, no randomness, no logging."""
