"""Tests of gpulockd.evidence.bench."""
