"""The code under test: found by name, called, checked against its contract. Imports neither torch nor any reference."""
