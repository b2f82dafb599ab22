"""ISO-TP done by Linux: sockets of the can-isotp kernel module."""
