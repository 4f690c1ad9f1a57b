"""A floating-point format, as data: what it is called, how it rounds, where the truth of its results is computed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """A dtype. name is torch's; array is the NumPy dtype that its numbers are in, its own where NumPy has it.

    unit_roundoff, u, is the largest relative error of one rounding. Below smallest_normal that error is absolute, and
    largest is the largest number. truth is the format that rounds so much less that its results are right.

    A coarse format rounds so much that two right results have few digits in common: each is judged by the truth, and by
    what rounding every operator's result to this format does to it.
    """

    name: str
    array: str
    unit_roundoff: float
    smallest_normal: float
    largest: float
    truth: "Precision | None" = None
    coarse: bool = False

    @property
    def keeps_sums(self) -> bool:
        """Whether sums of it are kept in it: NumPy's are, if it has the format; those of a kernel in float32."""
        return self.array == self.name

    @property
    def spacing(self) -> float:
        """Of the numbers below smallest_normal."""
        return 2 * self.unit_roundoff * self.smallest_normal

    def __str__(self) -> str:
        return self.name


FLOAT64 = Precision("float64", "float64", 2.0**-53, 2.0**-1022, (2 - 2.0**-52) * 2.0**1023)
FLOAT32 = Precision("float32", "float32", 2.0**-24, 2.0**-126, (2 - 2.0**-23) * 2.0**127, FLOAT64)
BFLOAT16 = Precision("bfloat16", "float32", 2.0**-8, 2.0**-126, (2 - 2.0**-7) * 2.0**127, FLOAT64, coarse=True)
FLOAT16 = Precision("float16", "float16", 2.0**-11, 2.0**-14, (2 - 2.0**-10) * 2.0**15, FLOAT64, coarse=True)
PRECISIONS = {precision.name: precision for precision in (FLOAT64, FLOAT32, BFLOAT16, FLOAT16)}
