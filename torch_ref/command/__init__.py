"""The command `gradgate`."""
