"""Tests of the leases, against real servers."""
