"""ISO 15765-2 in user space, sans I/O: no socket, no thread, no clock; time is an argument."""
