"""The tools that are compared: each says yes or no to a hand-written gradient, at its defaults, as its manual shows.

A tool is a function of a candidate and a case. Those that only compare numbers are given autograd's; the others take
finite differences of the candidate's own loss.
"""

from functools import partial

import numpy as np
import torch

from tests.comparing import compared, parameters_of
from torch_ref import TwoLayers
from torch_ref.candidate.calling import InProcess

REFERENCE = TwoLayers()
# scipy's returns a distance and leaves the verdict to its caller. This is the smallest power of ten under which no
# correct code is rejected here: the choice that is best for it.
SCIPY_LIMIT = 1e-3


def answer(candidate, case, parameters=None):
    """The loss, a float, and the gradients, a list of arrays; at other parameters, if given."""
    if parameters is not None:
        case = case.with_arguments(**dict(zip(case.differentiated, parameters, strict=True)))
    loss, *grads = InProcess(candidate, REFERENCE.results, {})(case).arrays.values()
    return float(loss), grads


def gradgate(candidate, case):
    return compared(candidate, case, REFERENCE).passed


def numbers(close, candidate, case):
    """Whether the loss and every gradient are close to autograd's."""
    loss, grads = answer(candidate, case)
    yours = [np.asarray(loss, case.precision.name), *grads]
    try:
        return all(
            close(y, right) is not False for y, right in zip(yours, REFERENCE.evaluate(case).values(), strict=True)
        )
    except AssertionError:
        return False


def assert_close(yours, right):
    torch.testing.assert_close(torch.from_numpy(np.asarray(yours)), torch.from_numpy(np.asarray(right)))


class HandWritten(torch.autograd.Function):
    @staticmethod
    def forward(ctx, candidate, case, *parameters):
        loss, ctx.grads = answer(candidate, case, [p.detach().numpy() for p in parameters])
        return torch.tensor(loss, dtype=parameters[0].dtype)

    @staticmethod
    def backward(ctx, dloss):
        return None, None, *(dloss * torch.from_numpy(grad) for grad in ctx.grads)


def gradcheck(candidate, case, *, fast_mode):
    parameters = [torch.tensor(array, requires_grad=True) for array in parameters_of(case).values()]
    function = partial(HandWritten.apply, candidate, case)
    return torch.autograd.gradcheck(function, parameters, fast_mode=fast_mode, raise_exception=False)


def scipy_check_grad(candidate, case):
    from scipy.optimize import check_grad

    shapes = [array.shape for array in parameters_of(case).values()]
    ends = np.cumsum([array.size for array in parameters_of(case).values()])[:-1]

    def at(flat):
        parts = np.split(flat, ends)
        return answer(candidate, case, [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])

    start = np.concatenate([array.ravel() for array in parameters_of(case).values()])
    off = check_grad(lambda flat: at(flat)[0], lambda flat: np.concatenate([g.ravel() for g in at(flat)[1]]), start)
    return bool(off <= SCIPY_LIMIT)


def jax_check_grads(candidate, case):
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)  # noqa: FBT003  # jax's own signature
    shapes = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in parameters_of(case).values()]
    scalar = jax.ShapeDtypeStruct((), case.precision.name)

    @jax.custom_vjp
    def loss(*parameters):
        return jax.pure_callback(
            lambda *p: np.asarray(answer(candidate, case, map(np.asarray, p))[0], case.precision.name),
            scalar,
            *parameters,
        )

    def backward(parameters, dloss):
        grads = jax.pure_callback(
            lambda *p: tuple(answer(candidate, case, map(np.asarray, p))[1]), tuple(shapes), *parameters
        )
        return tuple(dloss * grad for grad in grads)

    loss.defvjp(lambda *parameters: (loss(*parameters), parameters), backward)
    try:
        check_grads(loss, tuple(parameters_of(case).values()), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


def autograd_check_grads(candidate, case):
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    loss = primitive(lambda *parameters: answer(candidate, case, parameters)[0])

    def backward(position, _, *parameters):
        grads = answer(candidate, case, parameters)[1]
        return lambda dloss: dloss * grads[position]

    defvjp(loss, *(partial(backward, position) for position in range(len(parameters_of(case)))))
    try:
        every = tuple(range(len(parameters_of(case))))  # at its default it looks at the first argument alone
        check_grads(loss, every, modes=["rev"], order=1)(*parameters_of(case).values())
    except AssertionError:
        return False
    return True


SLOW = "jax check_grads"  # a tenth of a second a verdict: it is given fewer of the cases

# By name: the tool, and the dtypes that its manual allows.
TOOLS = {
    "gradgate": (gradgate, ("float64", "float32")),
    "torch gradcheck": (partial(gradcheck, fast_mode=False), ("float64",)),
    "torch gradcheck, fast": (partial(gradcheck, fast_mode=True), ("float64",)),
    "jax check_grads": (jax_check_grads, ("float64", "float32")),
    "autograd check_grads": (autograd_check_grads, ("float64",)),
    "scipy check_grad": (scipy_check_grad, ("float64",)),
    "torch assert_close": (partial(numbers, assert_close), ("float64", "float32")),
    "np.testing.assert_allclose": (partial(numbers, np.testing.assert_allclose), ("float64", "float32")),
    "np.allclose": (partial(numbers, np.allclose), ("float64", "float32")),
}
