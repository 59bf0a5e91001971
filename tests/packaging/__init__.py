"""Tests of what is shipped: wheels, units, licence."""
