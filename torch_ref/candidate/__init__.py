"""The code under test: found by name, called, and held to its contract. Imports neither torch nor any reference."""
