"""The commands: a module for each, with its options, its help and what it does."""
