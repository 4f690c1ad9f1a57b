"""A range of sizes: the smallest and the largest, both included."""

from typing import TypeAlias

Range: TypeAlias = tuple[int, int]


def demand_range(name: str, bounds: Range) -> None:
    """Raise ValueError unless this is a smallest and a largest size."""
    if not (isinstance(bounds, tuple) and len(bounds) == 2 and all(isinstance(bound, int) for bound in bounds)):
        raise ValueError(f"{name}: {bounds!r}, expected the smallest and the largest, as in (1, 8)")
    if not 1 <= bounds[0] <= bounds[1]:
        raise ValueError(f"{name}: from {bounds[0]} to {bounds[1]}, expected 1 or more, and no more than the second")
