"""ISO-TP (ISO 15765-2) over CAN."""
