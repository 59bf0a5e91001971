"""Hostile bytes, from hypothesis in every test run and from a coverage-guided fuzzer for as long as one likes."""
