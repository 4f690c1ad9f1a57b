"""What wrong gradients at some nodes can do to the outputs: where the mistake may be, before anything is tried.

Every gradient of the backward pass is linear in those that come before it. So whatever goes wrong at some nodes, the
outputs are off by a combination of the columns of a Jacobian. If the candidate's are not, its mistake is elsewhere.
"""

import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from torch_ref.diagnosis.graph.nodes import Values, is_backward, is_real
from torch_ref.diagnosis.graph.trace import Trace

aten: Any = torch.ops.aten
ROWS = 64  # of each output: its elements, or as many random combinations of them
LARGEST = 20_000_000  # numbers in all Jacobians together
SPARE = 8  # rows more than columns: fewer may be met by accident


class Influence:
    """Of one case, the Jacobian of the outputs by the value of each gradient, and how far the candidate is off.

    yours: what the candidate gave, by name. Where a Jacobian is not known, anything may be.
    """

    def __init__(self, trace: Trace, yours: Mapping[str, Tensor]) -> None:
        self.trace = trace
        self.names = [name for name in trace.case.differentiated if name in yours]
        scale = {name: 1 / trace.values[trace.outputs[name]].abs().max().clamp(min=1e-300) for name in self.names}
        mixing = {name: scale[name] * _mixing(trace.values[trace.outputs[name]].numel()) for name in self.names}
        off = {name: (yours[name] - trace.values[trace.outputs[name]]).flatten().double() for name in self.names}
        self.off = {name: mixing[name] @ off[name] for name in self.names}
        self.jacobians: dict[int, Tensor] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some operator is slow in batches
                self.jacobians = self._measured(mixing)
        except (RuntimeError, TypeError, NotImplementedError):  # an operator that can't be differentiated, say
            self.jacobians = {}
        self._known: dict[tuple[frozenset[int], frozenset[str]], bool] = {}

    def may_explain(self, changed: frozenset[int]) -> bool:
        """Whether some values of these gradients, whatever they are, give what the candidate gave where they reach."""
        if not changed:
            return False
        names = self.trace.reached(changed)
        if (changed, names) not in self._known:
            self._known[changed, names] = self._is_combination(changed, names)
        return self._known[changed, names]

    def entered(self, positions: Iterable[int]) -> frozenset[int]:
        """The gradients that change first when the values of these nodes do."""
        found, seen, new = set(), set(), list(positions)
        while new:
            if (i := new.pop()) in self.gradients:
                found.add(i)
            elif i not in seen:
                seen.add(i)
                new += [user for user in self.trace.users[i] if self.trace.reach[user]]
        return frozenset(found)

    @cached_property
    def gradients(self) -> frozenset[int]:
        """The nodes of the backward pass that are computed from the gradient that is given."""
        trace = self.trace
        found = set(self._given)
        for i in trace.everything:
            inputs = [trace.position[other] for other in trace.nodes[i].all_input_nodes]
            if is_backward(trace.nodes[i]) and not found.isdisjoint(inputs):
                found.add(i)
        return frozenset(found)

    @cached_property
    def _given(self) -> set[int]:
        """The upstream gradients; or the 1 that is the gradient of the loss to itself."""
        trace = self.trace
        if trace.case.upstream:
            return {i for i, name in enumerate(trace.names) if name in trace.case.upstream}
        results = {trace.nodes[i] for name, i in trace.outputs.items() if name not in trace.case.differentiated}
        ones = aten.full_like.default, aten.ones_like.default
        return {i for i in trace.everything if trace.nodes[i].target in ones and trace.nodes[i].args[0] in results}

    def _is_combination(self, changed: frozenset[int], reached: frozenset[str]) -> bool:
        names = [name for name in self.names if name in reached]
        if not names or any(i not in self.jacobians for i in changed):
            return True  # nothing is known
        off = torch.cat([self.off[name] for name in names])
        if not off.any():
            return True
        rows = torch.cat([self._rows(i, names) for i in sorted(changed)], 1)
        if len(rows) < (enough := rows.shape[1] + SPARE):
            return True
        mixed = torch.randn(enough, len(rows), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        rows, off = mixed @ rows, mixed @ off
        solved = torch.linalg.lstsq(rows, off[:, None], driver="gelsd").solution
        left = (off - (rows @ solved)[:, 0]).norm() / off.norm()
        return bool(left < 100 * self.trace.case.precision.unit_roundoff**0.5)

    def _rows(self, i: int, names: list[str]) -> Tensor:
        """Of the Jacobian by the value of node i, the rows of these outputs."""
        return torch.cat([self.jacobians[i][self._places[name]] for name in names])

    def _measured(self, mixing: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """The Jacobians, by node: a row for each combination of elements of each output."""
        trace = self.trace
        self._places, count = {}, 0
        for name in self.names:
            self._places[name] = slice(count, count := count + len(mixing[name]))
        values: Values = trace.values.copy()
        with torch.enable_grad():
            for i in sorted(self.gradients):
                values[i] = values[i].detach().clone().requires_grad_() if i in self._given else trace.calls[i](values)
            inputs = {i: values[i] for i in self.gradients if is_real(values[i]) and values[i].requires_grad}
            if count * sum(value.numel() for value in inputs.values()) > LARGEST:
                return {}
            outputs = [values[trace.outputs[name]] for name in self.names]
            rows = []
            for name, output in zip(self.names, outputs, strict=True):
                rows.append(torch.zeros(count, output.numel(), dtype=output.dtype))
                rows[-1][self._places[name]] = mixing[name].to(output)
            of_outputs = [row.reshape(count, *output.shape) for row, output in zip(rows, outputs, strict=True)]
            found = torch.autograd.grad(
                outputs, list(inputs.values()), of_outputs, is_grads_batched=True, allow_unused=True
            )
        return {
            i: torch.zeros(count, value.numel(), dtype=torch.float64)
            if grad is None
            else grad.reshape(count, -1).double()
            for (i, value), grad in zip(inputs.items(), found, strict=True)
        }


def _mixing(size: int) -> Tensor:
    """Which combinations of so many elements are looked at: each by itself, if they are few."""
    if size <= ROWS:
        return torch.eye(size, dtype=torch.float64)
    return torch.randn(ROWS, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
