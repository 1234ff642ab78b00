"""A supervised child process with a typed pipe and a heartbeat."""
