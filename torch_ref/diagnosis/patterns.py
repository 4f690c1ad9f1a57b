"""What the numbers alone tell: a factor a slice or a case, blocks exchanged, which elements are wrong."""

from collections.abc import Iterator
from itertools import groupby, permutations
from typing import NamedTuple

import numpy as np

from torch_ref.cases.case import Array
from torch_ref.diagnosis.evidence import Evidence
from torch_ref.diagnosis.factors import Factor, plain
from torch_ref.results import Comparison, Finding

BLOCKS = 2, 3, 4
MOST = 64  # slices along an axis


class Pair(NamedTuple):
    """In one case the candidate's numbers, autograd's, and how far apart they may be."""

    yours: Array
    right: Array
    allowed: float


def patterns(evidence: Evidence, wrong: list[str]) -> Iterator[Finding]:
    """What gives the candidate's numbers of each name, if no mistake is known that does."""
    comparable = [name for name in wrong if all(of.lines[name].problem is None for of in evidence.comparisons)]
    if text := _of_cases(evidence, comparable):
        names = evidence.labels(comparable)
        yield Finding("mistake", "one factor a case", tuple(comparable), f"{names}: {text}.")
        return
    for name in comparable:
        pairs = [_pair(of, name) for of in evidence.comparisons]
        if text := _slices(pairs) or _exchanged(pairs) or _summed(pairs):
            yield Finding("mistake", text, (name,), f"{evidence.label(name)}: {text}.")
        elif text := _where(evidence, pairs):
            yield Finding("chain", text, (), f"{evidence.label(name)}: {text}.")


def _pair(comparison: Comparison, name: str) -> Pair:
    yours, right = (numbers[name].astype(float) for numbers in (comparison.yours, comparison.autograd))
    return Pair(yours, right, comparison.lines[name].allowed)


def _ratio(yours: Array, right: Array) -> float:
    """Of the largest element."""
    index = np.unravel_index(np.abs(right).argmax(), right.shape)
    return float(yours[index] / right[index]) if right[index] else 0.0


def _is_times(pair: Pair, factor: float) -> bool:
    return bool(np.abs(pair.yours - factor * pair.right).max() <= max(abs(factor), 1e-3) * pair.allowed)


def _of_cases(evidence: Evidence, names: list[str]) -> str:
    """One factor that all gradients share, another one in each case."""
    if len(names) < 2:
        return ""
    counts = []
    for of in evidence.comparisons:
        pairs = [_pair(of, name) for name in names]
        factor = _ratio(pairs[0].yours, pairs[0].right)
        if not np.isfinite(factor) or not factor or not all(_is_times(pair, factor) for pair in pairs):
            return ""
        counts.append((of.case.sizes.get("batch", 0), factor))
    told = ", ".join(f"{factor:.6g} for a batch of {batch}" for batch, factor in counts)
    whole = all(abs(batch / factor - round(batch / factor)) < 1e-9 for batch, factor in counts)
    cause = "; divided by the number of those that count, not by the batch" if whole else ""
    return f"autograd's times one factor, another one in each case: {told}{cause}"


def _slices(pairs: list[Pair]) -> str:
    """A factor for each slice along an axis, the same in every case."""
    for axis in range(pairs[0].right.ndim):
        size = pairs[0].right.shape[axis]
        if not 1 < size <= MOST or any(pair.right.shape[axis] != size for pair in pairs):
            continue
        factors = [_of_slice([_slice(pair, axis, k) for pair in pairs]) for k in range(size)]
        if None not in factors and len(set(factors)) > 1:
            runs = [(factor, [k for k, _ in run]) for factor, run in groupby(enumerate(factors), key=lambda of: of[1])]
            return f"along axis {axis}, {'; '.join(_told(factor, ks) for factor, ks in runs)}"
    return ""


def _slice(pair: Pair, axis: int, k: int) -> Pair:
    return Pair(pair.yours.take(k, axis), pair.right.take(k, axis), pair.allowed)


def _of_slice(pairs: list[Pair]) -> float | None:
    """The factor of a slice, if there is one for all cases."""
    telling = max(pairs, key=lambda pair: np.abs(pair.right).max() / pair.allowed)
    size = np.abs(telling.right).max()
    factor = plain(_ratio(telling.yours, telling.right), telling.allowed / size) if size > telling.allowed else 1.0
    return factor if np.isfinite(factor) and all(_is_times(pair, factor) for pair in pairs) else None


def _told(factor: float | None, slices: list[int]) -> str:
    where = f"{slices[0]} to {slices[-1]}" if len(slices) > 1 else str(slices[0])
    what = {0.0: "zero", 1.0: "right"}.get(factor or 0.0, f"{Factor(factor or 0.0, ())} × autograd's")
    return f"{where}: {what}"


def _exchanged(pairs: list[Pair]) -> str:
    """Blocks along an axis in another order."""
    for axis in range(pairs[0].right.ndim):
        for count in BLOCKS:
            if any(pair.right.shape[axis] % count or pair.right.shape[axis] == 1 for pair in pairs):
                continue
            for order in list(permutations(range(count)))[1:]:
                if all(_is_times(_moved(pair, axis, order), 1.0) for pair in pairs):
                    blocks = ", ".join(str(k + 1) for k in order)
                    return f"of the {count} blocks along axis {axis} the order is {blocks}"
    return ""


def _moved(pair: Pair, axis: int, order: tuple[int, ...]) -> Pair:
    blocks = np.split(pair.right, len(order), axis)
    return Pair(pair.yours, np.concatenate([blocks[k] for k in order], axis), pair.allowed)


def _summed(pairs: list[Pair]) -> str:
    """Along an axis the sum of some elements in place of each of them."""
    for axis, size in enumerate(pairs[0].right.shape):
        for count in range(2, size + 1):
            if size % count or any(pair.right.shape[axis] != size for pair in pairs):
                continue
            for is_apart in (False, True):
                if all(_is_times(_spread(pair, axis, count, is_apart=is_apart), 1.0) for pair in pairs):
                    which = f"every {size // count}th" if is_apart else f"each block of {count}"
                    which = "all" if count == size else which
                    return f"along axis {axis}, each element is the sum over {which}, not its own"
    return ""


def _spread(pair: Pair, axis: int, count: int, *, is_apart: bool) -> Pair:
    """The sums of as many elements, in a row or apart, in the place of each."""
    shape = pair.right.shape
    both = (count, shape[axis] // count) if is_apart else (shape[axis] // count, count)
    parts = pair.right.reshape(*shape[:axis], *both, *shape[axis + 1 :])
    sums = parts.sum(axis + (not is_apart), keepdims=True)
    return Pair(pair.yours, np.broadcast_to(sums, parts.shape).reshape(shape), pair.allowed)


def _where(evidence: Evidence, pairs: list[Pair]) -> str:
    """Which elements alone are wrong, in every case."""
    off = [np.abs(pair.yours - pair.right) > pair.allowed for pair in pairs]
    if all(np.all(pair.right[wrong] == 0) for pair, wrong in zip(pairs, off, strict=True)):
        return "wrong only where autograd's is 0: as if a mask were missing"
    results_right = all(name in evidence.first.case.differentiated for name in evidence.wrong)
    for argument in evidence.first.case.given if results_right else ():
        tokens = [of.case.arguments[argument] for of in evidence.comparisons]
        if all(_are_rows(some, pair.right) for some, pair in zip(tokens, pairs, strict=True)):
            counts = [np.bincount(some.ravel(), minlength=len(wrong)) for some, wrong in zip(tokens, off, strict=True)]
            once = [wrong[count < 2] for wrong, count in zip(off, counts, strict=True)]
            if any(rows.size for rows in once) and not any(rows.any() for rows in once):
                return (
                    f"wrong only in rows that {argument} has more than once: as if what is repeated were not added up"
                )
    for axis in range(pairs[0].right.ndim):
        zero = set.intersection(*(_zero_along(axis, pair.right) for pair in pairs))  # right by nature
        places = [_wrong_along(axis, wrong) for wrong in off]
        everywhere = sorted({k for some in places for k in some})
        sizes = [pair.right.shape[axis] for pair in pairs]
        if not set(range(min(sizes))) - set(everywhere) - zero:
            continue
        if all(some == {size - 1} for some, size in zip(places, sizes, strict=True)):
            return f"wrong only in the last along axis {axis}"
        if len(set(sizes)) == 1:
            first, last = everywhere[0], everywhere[-1]
            in_a_row = len(everywhere) > 2 and last - first == len(everywhere) - 1
            where = f"{first} to {last}" if in_a_row else ", ".join(map(str, everywhere))
            return f"wrong only in {where} along axis {axis}, in the {len(pairs)} cases that were looked at"
    return ""


def _are_rows(tokens: Array, table: Array) -> bool:
    """Whether these may be numbers of rows."""
    is_index = tokens.dtype.kind in "iu" and tokens.size > 0 and table.ndim > 1
    return bool(is_index and tokens.min() >= 0 and tokens.max() < len(table))


def _zero_along(axis: int, right: Array) -> set[int]:
    """The slices along an axis in which everything is zero."""
    return set(range(right.shape[axis])) - _wrong_along(axis, right != 0)


def _wrong_along(axis: int, wrong: Array) -> set[int]:
    """The slices along an axis in which something is wrong."""
    others = tuple(other for other in range(wrong.ndim) if other != axis)
    return {int(k) for k in np.flatnonzero(wrong.any(axis=others))}
