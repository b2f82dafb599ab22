"""What the commands print, and how it looks."""
