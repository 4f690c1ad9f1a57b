"""Numbers in the format of a check, as arrays."""

from math import log2

import numpy as np
import numpy.typing as npt

from torch_ref.cases.case import Array
from torch_ref.precision import Precision


def in_format(values: npt.ArrayLike, precision: Precision) -> Array:
    """The values rounded to the nearest numbers of a format, C-contiguous, in the dtype that has these.

    A coarse format is soon at its end, so what is beyond its normal range becomes the number there; 0 stays 0.

    >>> from torch_ref.precision import BFLOAT16, FLOAT16
    >>> in_format([1.003, 1e-50], BFLOAT16).tolist() == [1.0, 2.0**-126]
    True
    >>> in_format([1.003, -1e9], FLOAT16).tolist()
    [1.0029296875, -65504.0]
    """
    if not precision.coarse:
        return np.asarray(values, precision.array, order="C")
    wide = np.asarray(values, np.float64, order="C")
    bits = round(-log2(precision.unit_roundoff))
    mantissa, exponent = np.frexp(wide)
    nearest = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
    size = np.abs(nearest).clip(precision.smallest_normal, precision.largest)
    return np.where(wide == 0, wide, np.copysign(size, wide)).astype(precision.array)
