"""The Unix socket: connections, the identity that the kernel attests, and the method table."""
