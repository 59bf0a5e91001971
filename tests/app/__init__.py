"""The daemon as a process: arguments, exit codes, readiness, the way it starts and stops."""
