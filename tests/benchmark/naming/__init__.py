"""Planted mistakes in many kinds of layers, and whether the diagnosis names them. Written apart from the search."""
