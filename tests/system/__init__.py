"""Tests of the whole: real processes, a real Redis, real signals."""
