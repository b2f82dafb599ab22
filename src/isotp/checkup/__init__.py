"""Does ISO-TP work here, and what to do where it does not."""
