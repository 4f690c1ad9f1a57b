"""What one case is, and what draws cases. Imports neither torch nor, but for `drawing`, hypothesis."""
