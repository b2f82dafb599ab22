"""Simulated ECUs: what they answer (`ecu`, without I/O), and what lets them answer on a bus (`car`)."""
