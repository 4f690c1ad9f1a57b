"""A range of sizes: the smallest and the largest, both included."""

from typing import TypeAlias

Range: TypeAlias = tuple[int, int]


def demand_range(name: str, bounds: Range) -> None:
    """Raise ValueError unless this is a smallest and a largest size."""
    if not (isinstance(bounds, tuple) and len(bounds) == 2 and all(isinstance(bound, int) for bound in bounds)):
        raise ValueError(f"{name}: {bounds!r}, expected the smallest and the largest, as in (1, 8)")
    first, second = bounds
    if not 1 <= first <= second:
        right = "sizes of 1 or more" if min(bounds) < 1 else f"the smaller one first: from {second} to {first}"
        raise ValueError(f"{name}: from {first} to {second}, expected {right}")
