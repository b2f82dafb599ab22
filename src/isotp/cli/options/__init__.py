"""What is given on the command line, and what it means."""
