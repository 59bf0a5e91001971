"""The lock side by side with what people would use instead, in one interleaved run: `make bench`."""
