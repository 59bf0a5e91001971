"""What a lock does, told once and shown through every way to talk to a real daemon."""
