"""The log: lines for people, entries with fields for the systemd journal."""
