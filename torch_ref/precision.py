"""A floating-point format, as data: what it is called, how it rounds, where the truth of its results is computed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """A dtype. name is NumPy's and torch's; truth is the format that rounds so much less that its results are right.

    unit_roundoff, u, is the largest relative error of one rounding. Below smallest_normal that error is absolute.
    """

    name: str
    unit_roundoff: float
    smallest_normal: float
    truth: "Precision | None" = None

    def __str__(self) -> str:
        return self.name


FLOAT64 = Precision("float64", unit_roundoff=2.0**-53, smallest_normal=2.0**-1022)
FLOAT32 = Precision("float32", unit_roundoff=2.0**-24, smallest_normal=2.0**-126, truth=FLOAT64)
PRECISIONS = {precision.name: precision for precision in (FLOAT64, FLOAT32)}
