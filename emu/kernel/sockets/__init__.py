"""Sockets within one world: Unix, and internet on the loopback interface. Nothing of it reaches the host's network."""
