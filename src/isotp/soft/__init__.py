"""ISO-TP done in this process: the engine, a bus, a clock, and sockets on top."""
