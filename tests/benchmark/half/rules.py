"""Rules that say yes or no to a result in half precision: gradgate's and three others, each as it is used."""

from functools import cached_property, partial
from unittest.mock import patch

import numpy as np
import torch

from tests.benchmark.half.operators import KINDS, length_of
from torch_ref import Operator
from torch_ref.candidate.calling import Answer
from torch_ref.coarse import MARGIN, replay
from torch_ref.comparison import compare
from torch_ref.precision import PRECISIONS
from torch_ref.reference.tensors import array_of


class Trial:
    """A case of an operator: what is right, what torch gives in the format, and two right implementations."""

    def __init__(self, name, seed, dtype):
        kind, precision = KINDS[name], PRECISIONS[dtype]
        self.reference = Operator(kind.own, lambda rng, _: kind.draw(rng, length_of(seed)))
        self.case = self.reference.cases.draw(1, seed=seed, precision=precision)
        evaluate = self.reference.evaluate
        self.truth, self.torchs = evaluate(self.case.judged), evaluate(self.case)
        self.single = evaluate(self.case.widened(PRECISIONS["float32"]))
        self.parts = Operator(kind.parts, self.reference.draw)
        self.right = {
            "by its parts": self.parts.evaluate(self.case),
            "in float32, rounded once": self.rounded(self.single),
        }

    @cached_property
    def noise(self):
        *_, last = replay(partial(self.reference.evaluate, self.case.judged), self.truth, self.case.precision)
        return last

    def rounded(self, arrays):
        dtype = getattr(torch, self.case.precision.name)
        return {name: array_of(torch.tensor(array).to(dtype)) for name, array in arrays.items()}

    def off_by(self, error):
        """The second right implementation, one result or gradient of it too large by this share: one that is not 0."""
        u = self.case.precision.unit_roundoff
        sizes = {name: np.abs(array).max() for name, array in self.truth.items()}
        shown = [name for name, size in sizes.items() if MARGIN * (self.noise[name] + u * size) < size]
        name = shown[self.case.seed % len(shown)]
        wrong = self.rounded({name: self.single[name] * np.float32(1 + error)})
        return self.right["in float32, rounded once"] | wrong


def gradgate(trial, yours):
    """As `check` judges one case."""
    return compare(lambda _: Answer(yours), trial.case, trial.reference.evaluate).passed


def gradgate_again(trial, yours):
    """The same with all noise measured beforehand, which is the same for every candidate."""
    with patch("torch_ref.coarse_comparison.replay", lambda *_: iter([trial.noise])):
        return gradgate(trial, yours)


def flash_attention(trial, yours):
    """At most twice as far from the result in float32 as torch's own in the format, as its tests ask."""
    off = [{n: np.abs(of[n] - trial.single[n].astype(float)).max() for n in yours} for of in (yours, trial.torchs)]
    return all(off[0][name] <= 2 * off[1][name] for name in yours)


def assert_close(trial, yours):
    """torch.testing.assert_close at its defaults for the dtype, with torch's own result in the format."""
    dtype = getattr(torch, trial.case.precision.name)
    try:
        for name, array in yours.items():
            torch.testing.assert_close(*(torch.tensor(of, dtype=dtype) for of in (array, trial.torchs[name])))
    except AssertionError:
        return False
    return True


def allclose(trial, yours):
    """np.allclose with both tolerances 1e-2, with torch's own result in the format."""
    return all(np.allclose(array, trial.torchs[name], rtol=1e-2, atol=1e-2) for name, array in yours.items())


RULES = {
    "gradgate": gradgate,
    "flash-attention's rule": flash_attention,
    "assert_close": assert_close,
    "allclose(1e-2, 1e-2)": allclose,
}
