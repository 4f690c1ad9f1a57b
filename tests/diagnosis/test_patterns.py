"""What the numbers alone tell, where no mistake is known that gives them."""

import numpy as np
import pytest

from tests.planted import RELU_MLP
from tests.worked_examples import relu_mlp
from torch_ref import Operator
from torch_ref.candidate.calling import InProcess
from torch_ref.diagnosis.evidence import gather
from torch_ref.diagnosis.patterns import patterns

HIDDEN = "2.weight"


def found(candidate, reference=None):
    reference = reference or relu_mlp.make_reference()
    case = reference.cases.draw(*reference.cases.telling()[0], seed=0)
    evidence = gather(InProcess(candidate, reference.results, {}), reference, case)
    return list(patterns(evidence, evidence.wrong))


def times(factors, axis=0):
    shape = (-1, 1) if axis == 0 else (1, -1)
    return lambda g, _: g * np.resize(factors, g.shape[axis]).reshape(shape)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda g, _: g * (np.arange(len(g)) > 0)[:, None], "along axis 0, 0: zero; 1 to "),
        (times((1, 2)), "along axis 0, 0: right; 1: 2 × autograd's; 2: right"),
        (times((1, 0.5), axis=1), "along axis 1, 0: right; 1: 1/2 × autograd's"),
        (lambda g, _: np.concatenate(np.split(g, 2, 1)[::-1], 1), "of the 2 blocks along axis 1 the order is 2, 1"),
    ],
)
def test_a_factor_a_slice_and_blocks_in_another_order(change, text):
    (finding,) = found(RELU_MLP.changed(**{HIDDEN: change}))
    assert (finding.kind, finding.tensors) == ("mistake", (HIDDEN,))
    assert f"dL/d{HIDDEN}: {text}" in finding.text


def test_one_factor_for_all_gradients_another_in_each_case():
    def candidate(inputs, targets, *parameters):
        loss, grads = relu_mlp.loss_and_grads(inputs, targets, *parameters)
        count = 1 + int(abs(inputs[0, 0]) * 1e6) % len(inputs)
        return loss, tuple(grad * len(inputs) / count for grad in grads)

    (finding,) = found(candidate)
    assert finding.tensors == RELU_MLP.names
    assert "autograd's times one factor, another one in each case" in finding.text
    assert "divided by the number of those that count, not by the batch" in finding.text


def crooked(g):
    return g + np.cos(np.arange(g.size).reshape(g.shape)) * np.abs(g).max()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda g, _: np.concatenate([g[:-1], crooked(g[-1:])]), "wrong only in the last along axis 0"),
        (
            lambda g, _: np.concatenate([g[:1], crooked(g[1:2]), g[2:]]),
            "wrong only in 1 along axis 0, in the 3 cases that were looked at",
        ),
        (lambda g, _: crooked(g), None),
    ],
)
def test_which_elements_alone_are_wrong_is_no_explanation_but_is_said(change, text):
    findings = found(RELU_MLP.changed(**{HIDDEN: change}))
    assert [(finding.kind, finding.tensors, finding.text) for finding in findings] == (
        [("chain", (), f"dL/d{HIDDEN}: {text}.")] if text else []
    )


def test_what_is_zero_by_nature_is_not_said_to_be_right():
    reference = Operator(lambda x: x[:, 1:] ** 2, lambda rng, n: {"x": rng.standard_normal((n, 4))})

    def candidate(g, x):
        return x[:, 1:] ** 2, (np.pad(crooked(2 * g * x[:, 1:]), ((0, 0), (1, 0))),)

    assert not any("wrong only" in finding.text for finding in found(candidate, reference))


@pytest.mark.parametrize(("wrong_once", "told"), [(False, True), (True, False)])
def test_rows_that_are_repeated(wrong_once, told):
    """Of a table, the rows that are asked for twice are wrong; and where others are, too, that is not the reason."""
    lookup = Operator(lambda table, tokens: table[tokens], lambda rng, n: {
        "table": rng.standard_normal((40, 3)), "tokens": rng.integers(0, 40, 4 * n)
    })  # fmt: skip

    def candidate(g, table, tokens):
        right = np.zeros_like(table)
        np.add.at(right, tokens, g)
        counts = np.bincount(tokens, minlength=len(table))
        which = counts > (0 if wrong_once else 1)
        return table[tokens], (np.where(which[:, None], np.cos(9 * right) * right, right),)

    texts = [finding.text for finding in found(candidate, lookup)]
    assert any("wrong only in rows that tokens has more than once" in text for text in texts) is told
