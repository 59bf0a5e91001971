"""Tests of what is in monitoring/, by Prometheus's own tools."""
