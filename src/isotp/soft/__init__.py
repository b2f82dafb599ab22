"""Sockets over the engine: `SoftSocket` and `AsyncSoftSocket`, with what connects engines, buses and the clock."""
