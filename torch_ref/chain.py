"""The chain of `numpy_impl.mlp` stage by stage in torch, to run it with a stage gone wrong, or for another loss.

In torch, so that the rounding noise of what is wrong can be measured like autograd's.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from torch_ref.cases import Array, Case

Stage: TypeAlias = Callable[[Any], Tensor]

STAGES: dict[str, Stage] = {
    "G1": lambda s: s.W1 @ s.inputs.T + s.B1,  # (hidden, batch)
    "S1": lambda s: torch.sigmoid(s.G1),  # (hidden, batch)
    "G2": lambda s: s.W2 @ s.S1 + s.B2,  # (out, batch)
    "S2": lambda s: torch.sigmoid(s.G2),  # (out, batch)
    "losses": lambda s: -s.t * torch.log(s.S2) - (1 - s.t) * torch.log(1 - s.S2),  # (out, batch)
    "loss": lambda s: s.losses.sum() / s.terms,  # ()
    "dL_dS2": lambda s: (s.S2 - s.t) / (s.S2 * (1 - s.S2)) / s.terms,  # (out, batch)
    "dS2_dG2": lambda s: s.S2 * (1 - s.S2),  # (out, batch)
    "dL_dG2": lambda s: s.dL_dS2 * s.dS2_dG2,  # (out, batch)
    "dL_dS1": lambda s: s.W2.T @ s.dL_dG2,  # (hidden, batch)
    "dS1_dG1": lambda s: s.S1 * (1 - s.S1),  # (hidden, batch)
    "dL_dG1": lambda s: s.dL_dS1 * s.dS1_dG1,  # (hidden, batch)
    "W1": lambda s: s.dL_dG1 @ s.inputs,  # (hidden, in), and so on: the gradients, by the names of the parameters
    "B1": lambda s: s.dL_dG1.sum(1, keepdim=True),  # (hidden, 1)
    "W2": lambda s: s.dL_dG2 @ s.S1.T,  # (out, hidden)
    "B2": lambda s: s.dL_dG2.sum(1, keepdim=True),  # (out, 1)
}
TENSORS = "loss", "W1", "B1", "W2", "B2"

# Other losses than binary cross-entropy: the elements to sum, and ∂L/∂S2.
ERRORS: dict[str, dict[str, Stage]] = {
    "(-t log S2 - (1-t) log(1-S2))": {},
    "(S2 - t)²": {"losses": lambda s: (s.S2 - s.t) ** 2, "dL_dS2": lambda s: 2 * (s.S2 - s.t) / s.terms},
    "½ (S2 - t)²": {"losses": lambda s: (s.S2 - s.t) ** 2 / 2, "dL_dS2": lambda s: (s.S2 - s.t) / s.terms},
}


def run(case: Case, terms: float, *changes: dict[str, Stage], p: float = 0.0) -> dict[str, Array]:
    """The chain on a case, with stages changed: the loss, divided by `terms`, and the gradients, by name."""
    tensors = {name: torch.from_numpy(array) for name, array in case.parameters.items()}
    s = SimpleNamespace(inputs=torch.from_numpy(case.inputs), t=torch.from_numpy(case.targets).T, terms=terms, p=p)
    vars(s).update(tensors)
    stages = STAGES.copy()
    for change in changes:
        stages |= change
    results = {}
    for name, stage in stages.items():
        result = stage(s)
        if name in TENSORS:
            results[name] = result.numpy()
        else:
            setattr(s, name, result)
    return {name: results[name] for name in TENSORS}
