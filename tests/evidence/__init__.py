"""Tests of gpulockd.evidence."""
