"""The daemon as systemd runs it: a Debian tree booted in namespaces of its own, with our wheels and units in it."""
