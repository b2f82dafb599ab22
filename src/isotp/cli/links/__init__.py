"""The links and buses that commands use."""
