"""Each private name of torch is still there and does what is asked of it; and no compiler is imported."""

import subprocess
import sys
import warnings
from pathlib import Path

import torch
from torch.nn import functional as F

from torch_ref.torch_private import DECOMPOSITIONS, TARGET_SIZE_WARNING, DispatchMode, out_of_place, tracing, writes

aten = torch.ops.aten


def test_a_mode_sees_every_operator_forward_and_backward():
    seen = []

    class Seeing(DispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    x = torch.ones(3, requires_grad=True)
    with Seeing():
        torch.autograd.grad(torch.sigmoid(x).sum(), x)
    assert {aten.sigmoid.default, aten.sum.default, aten.sigmoid_backward.default} <= set(seen)


def test_torch_still_asks_a_mode_whether_the_compiler_is_to_stay_away():
    assert callable(DispatchMode.__mro__[1]._should_skip_dynamo)
    assert DispatchMode._should_skip_dynamo() is False


def test_the_schema_says_which_operators_write():
    assert writes(aten.add_.Tensor)
    assert writes(aten.copy_.default)
    assert writes(aten.add.out)
    assert not writes(aten.add.Tensor)
    assert not writes(aten.sigmoid.default)


def test_the_operator_that_does_not_write_is_found():
    assert out_of_place(aten.index_add_.default) is aten.index_add.default
    assert out_of_place(aten.add.Tensor) is None


def test_a_fused_operator_has_its_parts():
    assert torch.equal(DECOMPOSITIONS[aten.mse_loss.default](torch.ones(3), torch.zeros(3)), torch.tensor(1.0))


def doubled(x):
    return 2 * x


def test_a_traced_operator_knows_the_line_that_a_forward_calls():
    def forward(x):
        return doubled(x)

    with tracing().noted_quickly():
        graph = tracing().make_fx(forward, record_stack_traces=True)(torch.ones(3))
    (stack,) = (node.meta["stack_trace"] for node in graph.graph.nodes if node.op == "call_function")
    assert "return 2 * x" in stack
    assert stack.splitlines()[0].endswith("in forward")  # what calls it would take longer than the tracing


def test_of_a_traced_tensor_the_shape_and_the_dtype_are_known_and_no_mode_was_made_for_it(monkeypatch):
    monkeypatch.setattr("torch.fx.experimental.proxy_tensor.FakeTensorMode", None)
    with tracing().noted_quickly():
        graph = tracing().make_fx(doubled)(torch.ones(4, 3, dtype=torch.float64).T)
    for value in (node.meta["val"] for node in graph.graph.nodes if node.op != "output"):
        assert (value.shape, value.stride(), value.dtype) == ((3, 4), (1, 3), torch.float64)


def test_torch_still_warns_of_sizes_in_these_words():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        F.mse_loss(torch.ones(3, 1), torch.ones(3))
    assert any(TARGET_SIZE_WARNING in str(warning.message) for warning in caught)


CHECKS = """
import sys
from functools import partial
import torch_ref
from numpy_impl import loss_and_grads
from torch_ref import TwoLayers
from torch_ref.rounding import bound, noise

def wrong(*arrays):
    loss, grads = loss_and_grads(*arrays)
    return loss, [2 * grad for grad in grads]

def replay():
    case = TwoLayers().cases.draw(7, 3, 5, 2, seed=3)
    evaluate = partial(TwoLayers().evaluate, case)
    noise(evaluate, evaluate())
    bound(evaluate, evaluate())

def imported_after(step):
    step()
    print(*{"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules), "after", step.__name__)

def right():
    assert torch_ref.check(loss_and_grads, cases=3).passed

def failing():
    assert not torch_ref.check(wrong, cases=3).passed

imported_after(replay)
imported_after(right)
imported_after(failing)
"""


def test_neither_a_replay_nor_a_check_imports_a_compiler():
    """It takes a second or more; a mode, an optimizer, or `functional_call` may bring it along."""
    run = [sys.executable, "-c", CHECKS]
    here = Path(__file__).parents[1]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=here)  # noqa: S603  # our own
    assert done.stdout.split("\n") == ["after replay", "after right", "after failing", ""]
