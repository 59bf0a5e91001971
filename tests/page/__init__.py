"""The status page, as a real Chromium shows it."""
