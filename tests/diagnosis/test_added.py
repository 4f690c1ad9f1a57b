"""What is added to a gradient, or stands in its place: a penalty of the parameters, a step."""

import numpy as np
import pytest
from torch import nn
from torch.nn import functional as F

from tests.comparing import evidence_of
from torch_ref import Operator, Reference
from torch_ref.diagnosis.diagnosis import diagnose

REFERENCE = Reference(
    nn.Linear(3, 2), F.mse_loss, lambda rng, batch: (rng.standard_normal((batch, 3)), rng.standard_normal((batch, 2)))
)


def with_term(of_weight, of_bias=lambda _b, _n: 0, of_loss=lambda _W: 0):
    """The right answer, with a term in each of these."""

    def candidate(x, t, W, b):
        r = x @ W.T + b - t
        g = 2 * r / r.size
        return (r**2).mean() + of_loss(W), (g.T @ x + of_weight(W, len(x)), g.sum(0) + of_bias(b, len(x)))

    return candidate


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (
            with_term(lambda W, _: 1e-4 * W),
            "dL/dweight: 0.0001 · `weight` is added to the gradient: weight decay; leave",
        ),
        (
            with_term(lambda W, _: 0.02 * W, lambda b, _: 0.02 * b),
            "dL/dweight, dL/dbias: 0.02 · `weight` and `bias` is added to the gradient: weight decay",
        ),
        (with_term(lambda W, n: W / 4 / n), "0.25 / batch · `weight` is added"),
        (with_term(lambda W, _: 0.01 * np.sign(W)), "0.01 · sign(`weight`) is added"),
        (
            with_term(lambda W, _: 0.01 * W, of_loss=lambda W: 0.005 * (W**2).sum()),
            "loss, dL/dweight: 0.01 · `weight` is added to the gradient: weight decay; and to the loss 0.01 · ½ Σ",
        ),
    ],
)
def test_weight_decay_is_named_with_its_factor(candidate, words):
    (finding,) = diagnose(evidence_of(candidate, REFERENCE))
    assert words in finding.text


def test_weight_decay_in_the_loss_alone_is_named():
    (finding,) = diagnose(evidence_of(with_term(lambda *_: 0, of_loss=lambda W: 0.005 * (W**2).sum()), REFERENCE))
    assert finding.text.startswith("loss: 0.01 · (½ Σ `weight`²) is added, weight decay, and not to the gradients")


def test_a_step_that_comes_back_in_the_place_of_gradients_is_named():
    def candidate(*arguments):
        loss, grads = with_term(lambda *_: 0)(*arguments)
        return loss, tuple(p - 0.1 * grad for p, grad in zip(arguments[2:], grads, strict=True))

    (finding,) = diagnose(evidence_of(candidate, REFERENCE))
    assert "the parameter after a step, as in `weight` - 0.1 · dL/dweight; return the gradient" in finding.text


def test_another_term_of_the_parameter_is_not_called_weight_decay():
    found = diagnose(evidence_of(with_term(lambda W, _: 0.01 * W**2), REFERENCE))
    assert not any("decay" in finding.text for finding in found)


def test_of_an_operator_that_has_no_loss_nothing_is_to_be_put_there():
    candidate = lambda g, x: (x * x, (2 * g * x + 0.5 * x,))  # noqa: E731
    reference = Operator(lambda x: x * x, lambda rng, batch: {"x": rng.standard_normal((batch, 3))})
    (finding,) = diagnose(evidence_of(candidate, reference))
    assert finding.text == "∂/∂x: 0.5 · `x` is added to the gradient, as weight decay would be; leave it out."
