"""Wrong candidates, each made from a right one: tensors changed, samples left out, a mistake of the list planted."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import numpy as np

from numpy_impl import forward, loss_and_grads, xor
from tests.comparing import GRADIENTS, case_of
from tests.worked_examples import relu_mlp
from torch_ref.two_layers.stages import Chain

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Network:
    """A right candidate and the names of its gradients: what wrong ones are made from."""

    right: Callable
    names: tuple[str, ...]

    def changed(self, **changes):
        """The right answer, but some tensors changed: each change is a function of the tensor and the arguments."""

        def candidate(inputs, targets, *parameters):
            loss, grads = self.right(inputs, targets, *parameters)
            by_name = dict(zip(self.names, parameters, strict=True))
            arguments = SimpleNamespace(inputs=inputs, targets=targets, **by_name)
            answer = {"loss": loss} | dict(zip(self.names, grads, strict=True))
            answer |= {name: change(answer[name], arguments) for name, change in changes.items()}
            return answer.pop("loss"), tuple(answer.values())

        return candidate

    def of_some(self, kept, *, of_all=True):
        """The gradients of these samples only; divided by the number of all, or of these."""

        def candidate(inputs, targets, *parameters):
            loss, _ = self.right(inputs, targets, *parameters)
            _, grads = self.right(inputs[kept], targets[kept], *parameters)
            return loss, tuple(grad * (len(inputs[kept]) / len(inputs) if of_all else 1) for grad in grads)

        return candidate


TWO_LAYERS = Network(loss_and_grads, GRADIENTS)
changed = TWO_LAYERS.changed
RELU_MLP = Network(relu_mlp.loss_and_grads, tuple(f"{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")))
STRAY_2 = changed(W2=lambda g, _: 2 * g)


def rewritten(name, right="", wrong=""):
    """A file of tests/ as a module, with a line of it replaced, if one is given."""
    source = (HERE / f"{name}.py").read_text(encoding="utf-8")
    assert not right or source.count(right) == 1
    module = util.module_from_spec(util.spec_from_loader(name, loader=None))
    exec(compile(source.replace(right, wrong) if right else source, name, "exec"), vars(module))  # noqa: S102  # ours
    return module


def with_mistake(mistake, p=0.0, *, chain=Chain()):  # noqa: B008  # immutable
    """The mistake of the list, or None, as someone would hand it in."""

    def candidate(inputs, targets, W1, B1, W2, B2):
        tensors = chain.run(case_of(inputs, targets, W1, B1, W2, B2), mistake.stages if mistake else {}, p)
        return tensors["loss"], tuple(tensors[name] for name in GRADIENTS)

    return candidate


def updated_W2(x, t, W1, B1, W2, B2):
    """W2 takes its step before ∂L/∂S1 is computed."""
    loss, (_, _, dW2, dB2) = loss_and_grads(x, t, W1, B1, W2, B2)
    _, S1, _, S2 = forward(x, W1, B1, W2, B2)
    dG1 = (W2 - 0.1 * dW2).T @ (S2 - t.T) / t.size * S1 * (1 - S1)
    return loss, (dG1 @ x, dG1.sum(1, keepdims=True), dW2, dB2)


def of_module_data(inputs, targets, W1, B1, W2, B2):
    """Forward on the module's XOR batch, whatever the inputs."""
    S1, S2 = forward(xor.INPUTS, W1, B1, W2, B2)[1::2]
    dG2 = (S2 - xor.TARGETS.T) / len(xor.INPUTS)
    dG1 = W2.T @ dG2 * S1 * (1 - S1)
    grads = dG1 @ xor.INPUTS, dG1.sum(1, keepdims=True), dG2 @ S1.T, dG2.sum(1, keepdims=True)
    return loss_and_grads(inputs, targets, W1, B1, W2, B2)[0], grads


def now_and_then(x, t, *parameters):
    """Wrong in some cases, in a way that no search can find the smallest of."""
    loss, (dW1, *others) = loss_and_grads(x, t, *parameters)
    return loss, (dW1 * (2 if crc32(x.tobytes()) % 8 == 0 else 1), *others)


def ripple(grad):
    """1 and smaller numbers, in the shape of a gradient."""
    return np.cos(np.arange(grad.size)).reshape(grad.shape)


def draw_rows(rng, batch):
    """A batch for `linear`."""
    return rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2))


def linear(x, t, W, b):
    """Right for nn.Linear(3, 2) and mse_loss."""
    y = x @ W.T + b
    dy = 2 * (y - t) / y.size
    return ((y - t) ** 2).mean(), (dy.T @ x, dy.sum(0))
