"""Tests of gpulockctl."""
