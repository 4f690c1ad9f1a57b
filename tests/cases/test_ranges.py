"""A pair of numbers that is no range of sizes is refused."""

import pytest

from torch_ref import Shapes


@pytest.mark.parametrize("batch", [(0, 4), (5, 4), (-1, 2)])
def test_ranges_that_make_no_sense_are_refused(batch):
    with pytest.raises(ValueError, match=f"batch: from {batch[0]} to {batch[1]}, expected"):
        Shapes(batch=batch)
