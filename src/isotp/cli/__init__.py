"""The command line: python -m isotp, or isotp. One file per command."""
