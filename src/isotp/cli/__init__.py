"""The command line: `isotp COMMAND`."""
