"""What torch keeps to itself is still there, and nothing of it starts a compiler."""

import subprocess
import sys

import torch

from torch_ref.torch_private import DECOMPOSITIONS, DispatchMode, out_of_place, writes

aten = torch.ops.aten


def test_every_private_name_is_there_and_means_what_it_did():
    assert writes(aten.add_.Tensor)
    assert not writes(aten.add.Tensor)
    assert out_of_place(aten.index_add_.default) is aten.index_add.default
    assert out_of_place(aten.add.Tensor) is None
    assert torch.equal(DECOMPOSITIONS[aten.mse_loss.default](torch.ones(3), torch.zeros(3)), torch.tensor(1.0))


def test_a_mode_sees_the_operators_of_a_backward_pass():
    seen = []

    class Names(DispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **kwargs or {})

    x = torch.ones(3, requires_grad=True)
    y = torch.sigmoid(x).sum()
    with Names():
        torch.autograd.grad(y, x)
    assert aten.sigmoid_backward.default in seen


def test_no_compiler_is_imported_for_a_replay():
    code = """
import sys
from functools import partial
from torch_ref import TwoLayers
from torch_ref.rounding import bound, noise
case = TwoLayers().cases.draw(7, 3, 5, 2, seed=3)
evaluate = partial(TwoLayers().evaluate, case)
noise(evaluate, evaluate())
bound(evaluate, evaluate())
print(*sorted({"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)))"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  # our own
    assert run.stdout.strip() == ""
