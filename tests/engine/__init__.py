"""Tests of the engine, the configuration and the composition root."""
