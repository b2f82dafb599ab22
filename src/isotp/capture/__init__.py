"""Traffic overheard or recorded, and the messages in it."""
