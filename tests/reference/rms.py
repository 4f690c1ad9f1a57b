"""An RMS norm as an operator, and its backward pass in every form that a candidate may have."""

import numpy as np
import pytest
import torch

from torch_ref import Operator

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def drawn(**shapes):
    """A draw of standard normal arrays; None in a shape stands for the batch."""

    def draw(rng, batch):
        return {n: rng.standard_normal([batch if s is None else s for s in shape]) for n, shape in shapes.items()}

    return draw


def rms_norm(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


RMS = Operator(rms_norm, drawn(x=(None, 6), w=(6,)))


def forward(x, w):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + x.dtype.type(1e-6))  # (batch, 1)
    return x * r * w, (x, w, r)


def backward(upstream, cache):
    x, w, r = cache
    n, dn = x * r, upstream * w  # (batch, 6)
    return r * (dn - n * (dn * n).mean(-1, keepdims=True)), (upstream * n).sum(0)


def in_one(upstream, x, w):
    out, cache = forward(x, w)
    return out, backward(upstream, cache)


def backward_again(upstream, x, w):
    return backward(upstream, forward(x, w)[1])


class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        r = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
        ctx.save_for_backward(x, w, r)
        return x * r * w

    @staticmethod
    def backward(ctx, upstream):
        x, w, r = ctx.saved_tensors
        n, dn = x * r, upstream * w
        return r * (dn - n * (dn * n).mean(-1, keepdim=True)), (upstream * n).sum(0)


class OnlyWhatIsNeeded(Function):
    """Computes what is asked for, as the tutorials have it; forward has no ctx."""

    @staticmethod
    def forward(x, w):
        return rms_norm(x, w)

    @staticmethod
    def setup_context(ctx, inputs, output):  # noqa: ARG004  # as torch has it
        x, w = inputs
        ctx.save_for_backward(x, w, torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6))

    @staticmethod
    def backward(ctx, upstream):
        both = zip(ctx.needs_input_grad, Function.backward(ctx, upstream), strict=True)
        return tuple(grad if needed else None for needed, grad in both)


class Layer:
    """Keeps what its backward pass needs."""

    def forward(self, x, w):
        out, self.cache = forward(x, w)
        return out

    def backward(self, upstream):
        return backward(upstream, self.cache)


class Static:
    forward, backward = staticmethod(forward), staticmethod(backward)


LAYER = Layer()


def of_tensors(x, w, power=2):
    return OnlyWhatIsNeeded.apply(x, w) ** (power / 2)


FORMS = {
    "its apply": Function.apply,
    "one function": in_one,
    "by name": lambda u, x, w: (forward(x, w)[0], dict(zip(("dx", "grad_w"), in_one(u, x, w)[1], strict=True))),
    "forward and backward": (forward, backward),
    "backward of the arguments": (lambda x, w: forward(x, w)[0], backward_again),
    "a function of tensors": rms_norm,
    "an autograd.Function": Function,
    "one that gives only what is needed": OnlyWhatIsNeeded,
    "a function of tensors with a default": of_tensors,
    "an object": Layer(),
    "its methods": (LAYER.forward, LAYER.backward),
    "a class of static methods": Static,
}
