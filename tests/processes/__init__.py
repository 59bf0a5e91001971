"""Tests of `gpulockd.processes`."""
