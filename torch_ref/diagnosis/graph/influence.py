"""What wrong gradients at some nodes can do to the outputs: where the mistake may be, before anything is tried.

Every gradient of the backward pass is linear in those that come before it. So whatever goes wrong at some nodes, the
outputs are off by a combination of the columns of a Jacobian. If the candidate's are not, its mistake is elsewhere.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.nodes import is_backward, is_real
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
ROWS = 64  # of each output: its elements, or as many random combinations of them
SUMS = aten.sum.dim_IntList, aten.mean.dim  # over other axes, or left out, it has another shape
TELLING = 0.75  # of all dimensions: where fewer are in reach, numbers that are say something
SPARE = 8  # more rows than columns say no more
LARGEST = 20_000_000  # numbers in all Jacobians together


class Gate(NamedTuple):
    """A gradient, and whether a value of it may be what the candidate has there."""

    position: int
    passes: Callable[[Tensor], bool]


class Influence:
    """Of one case, the Jacobian of the outputs by the value of each gradient, and how far the candidate is off.

    yours: what the candidate gave, by name; bounds: how far off it may be. Where no Jacobian is known, anything may be.
    """

    def __init__(self, trace: Trace, yours: Mapping[str, Tensor], bounds: Mapping[str, float]) -> None:
        self.trace = trace
        right = {name: trace.values[trace.outputs[name]] for name in trace.case.differentiated if name in yours}
        # What is rounding alone says nothing, as the gradient to a bias before a batch norm.
        right = {n: g for n, g in right.items() if max(g.abs().max(), yours[n].abs().max()) > bounds.get(n, 0.0)}
        sizes = [g.numel() for g in right.values()]
        if sum(min(ROWS, size) for size in sizes) * sum(sizes) > LARGEST:
            right = {}  # nothing is measured
        self.names = list(right)
        mixing = {name: _mixing(g.numel()) / g.abs().max().clamp(min=1e-300) for name, g in right.items()}
        self.off = {name: mixing[name] @ (yours[name] - g).flatten().double() for name, g in right.items()}
        self.jacobians: dict[int, dict[str, Tensor]] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some operator is slow in batches
                self.jacobians = self._measured(mixing) if right else {}
        except (RuntimeError, TypeError, NotImplementedError):  # an operator that can't be differentiated, say
            pass
        self._first: dict[int, frozenset[int]] = {}
        self._possible, self._gates = dict[frozenset[int], bool](), dict[frozenset[int], Gate | None]()

    def may_explain(self, changed: frozenset[int]) -> bool:
        """Whether some values of these gradients, whatever they are, give what the candidate gave where they reach."""
        if changed not in self._possible:
            self._possible[changed] = bool(changed) and self._is_possible(changed)
        return self._possible[changed]

    def tells(self, changed: Iterable[int], wrong: frozenset[str]) -> bool:
        """Whether what is wrong fits, and could be many other numbers if its tensors were wrong each for itself."""
        wrong, changed = wrong.intersection(self.names), frozenset(changed)
        each = sum(self._rank(self.jacobians, frozenset({name})) for name in wrong)
        if self._rank(changed, wrong) > TELLING * each:
            return False
        columns, off = self._equations(changed)
        return columns.shape[1] < len(off) or self._fits(columns, off)  # of fewer columns `may_explain` has asked it

    def _rank(self, changed: Iterable[int], names: frozenset[str]) -> int:
        rows = [torch.cat([self.jacobians[i][name] for name in sorted(names)]) for i in changed]
        return int(torch.linalg.matrix_rank(sum(of @ of.mT for of in rows), hermitian=True, rtol=1e-12))

    def gate(self, changed: frozenset[int]) -> Gate | None:
        """Of these gradients the first: whether with a value of it the others can explain the rest."""
        if changed not in self._gates:
            self._gates[changed] = self._gate(changed) if changed else None
        return self._gates[changed]

    def fitting(self, i: int, values: Tensor) -> Sequence[bool]:
        """Which of these values of a gradient, along the first axis, may be what the candidate has there."""
        if i not in self.jacobians:
            return [True] * len(values)
        columns, off = self._equations(frozenset({i}))
        moved = (values - self.trace.values[i]).flatten(1).double() @ columns.mT
        return list((moved - off).norm(dim=1) <= self._slack(off))

    def weights(self, i: int, terms: Sequence[Tensor]) -> list[float]:
        """With which these terms add up to what the candidate has in the place of a gradient; none, if they can't."""
        columns, off = self._equations(frozenset({i}))
        moved = columns @ torch.stack([term.flatten().double() for term in terms], 1)
        there = off + columns @ self.trace.values[i].flatten().double()
        solved = torch.linalg.lstsq(moved, there[:, None], driver="gelsd").solution[:, 0]
        fits = len(off) > len(terms) and (moved @ solved - there).norm() <= self._slack(off)
        return solved.tolist() if fits else []

    def entered(self, positions: Iterable[int], *, taken: bool = False) -> frozenset[int]:
        """The gradients that change first when the values of these nodes do. taken: as the backward pass has them."""
        if taken:
            nodes, users = self.trace.nodes, self.trace.users
            positions = [
                user for i in positions for user in users[i] if is_backward(nodes[user]) and self.trace.reach[user]
            ]
        return frozenset().union(*map(self._entered, positions))

    def _entered(self, i: int) -> frozenset[int]:
        if i in self.trace.gradients and (self.trace.nodes[i].target not in SUMS or i in self.trace.ends):
            return frozenset({i})
        if i not in self._first:
            self._first[i] = self.entered(user for user in self.trace.users[i] if self.trace.reach[user])
        return self._first[i]

    def _is_possible(self, changed: frozenset[int]) -> bool:
        if any(i not in self.jacobians for i in changed):
            return True
        if self.trace.reached(changed).isdisjoint(self.names):
            return False
        columns, off = self._equations(changed)
        if columns.shape[1] >= len(off):
            return True
        return bool((_beyond(columns) @ off).norm() <= self._slack(off))

    def _gate(self, changed: frozenset[int]) -> Gate | None:
        if any(i not in self.jacobians for i in changed) or self.trace.reached(changed).isdisjoint(self.names):
            return None
        first, before = min(changed), self.trace.values[min(changed)]
        columns, off = self._equations(changed)
        if columns.shape[1] - before.numel() >= len(off):  # the others give anything
            return None
        beyond = _beyond(columns[:, before.numel() :])
        of_first, left, slack = beyond @ columns[:, : before.numel()], beyond @ off, self._slack(off)

        def passes(value: Tensor) -> bool:
            if value.shape != before.shape:  # what is broadcast later
                return True
            moved = of_first @ (value - before).flatten().double()
            return bool((moved - left).norm() <= slack)

        return Gate(first, passes)

    def _equations(self, changed: frozenset[int]) -> tuple[Tensor, Tensor]:
        """The columns of these gradients, in their order, and what the candidate is off: as many as say anything."""
        reached = self.trace.reached(changed)
        names = [name for name in self.names if name in reached] or self.names  # those of rounding alone are not there
        columns = torch.cat([torch.cat([self.jacobians[i][name] for name in names]) for i in sorted(changed)], 1)
        off = torch.cat([self.off[name] for name in names])
        if len(off) > (enough := columns.shape[1] + SPARE):
            mixed = torch.randn(enough, len(off), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            columns, off = mixed @ columns, mixed @ off
        return columns, off

    def _fits(self, columns: Tensor, off: Tensor) -> bool:
        solved = torch.linalg.lstsq(columns, off[:, None], rcond=1e-12, driver="gelsd").solution[:, 0]
        return bool((columns @ solved - off).norm() <= self._slack(off))

    def _slack(self, off: Tensor) -> float:
        u = self.trace.case.precision.unit_roundoff
        return float(100 * u**0.5 * off.norm() + 1e4 * u)

    def _measured(self, mixing: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        """By node and output, a row for each combination of the output's elements."""
        trace, values = self.trace, self.trace.values.copy()
        with torch.enable_grad():
            for i in sorted(self.trace.gradients):
                values[i] = values[i].detach().clone().requires_grad_() if i in trace.given else trace.calls[i](values)
            inputs = {i: values[i] for i in self.trace.gradients if is_real(values[i]) and values[i].requires_grad}
            outputs = {name: values[trace.outputs[name]] for name in self.names}
            sizes = [len(of) for of in mixing.values()]
            if sum(sizes) * sum(value.numel() for value in inputs.values()) > LARGEST:
                return {}
            directions = [torch.zeros(sum(sizes), g.numel(), dtype=torch.float64) for g in outputs.values()]
            for rows, row, of in zip(directions, accumulate(sizes, initial=0), mixing.values(), strict=False):
                rows[row : row + len(of)] = of
            batches = [d.reshape(-1, *g.shape).to(g) for d, g in zip(directions, outputs.values(), strict=True)]
            found = torch.autograd.grad(
                list(outputs.values()), list(inputs.values()), batches, is_grads_batched=True, allow_unused=True
            )
        jacobians = {}
        for (i, value), grad in zip(inputs.items(), found, strict=True):
            rows = torch.zeros(sum(sizes), value.numel()) if grad is None else grad.reshape(sum(sizes), -1)
            jacobians[i] = dict(zip(self.names, torch.split(rows.double(), sizes), strict=True))
        return jacobians


def _beyond(columns: Tensor) -> Tensor:
    """Orthonormal rows that are 0 on all these columns: what no combination of them gives."""
    orthonormal: Tensor = torch.linalg.qr(columns, mode="complete").Q
    return orthonormal[:, columns.shape[1] :].mT


def _mixing(size: int) -> Tensor:
    """Which combinations of so many elements are looked at: each by itself, if they are few."""
    if size <= ROWS:
        return torch.eye(size, dtype=torch.float64)
    return torch.randn(ROWS, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
