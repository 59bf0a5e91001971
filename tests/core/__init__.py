"""Tests of the pure core: event, expected action, event."""
