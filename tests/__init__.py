"""The tests mirror the source; CONTRIBUTING.md tells of those that look at the whole."""
