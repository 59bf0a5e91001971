"""Tests of the demonstration, and of the judge that it shares with the fault tests."""
