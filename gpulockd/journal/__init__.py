"""SQLite record of locks and history: written before anybody is told."""
