"""The tests mirror the source; system/, faults/ and packaging/ look at the whole."""
