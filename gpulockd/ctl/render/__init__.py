"""Documents of the daemon as text for people: pure, from a document and a `Look` to lines."""
