"""Code in torch as the candidate of an operator: a torch.autograd.Function, an nn.Module or a function of tensors.

What its own backward pass gives is judged.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from torch_ref.candidate.kinds import is_function, is_module, parameters_of, takes
from torch_ref.candidate.tensors import tensors_of, write_back
from torch_ref.cases.case import Array, Case
from torch_ref.errors import ContractError


def is_torch(code: Any, case: Case) -> bool:
    """Whether it is code in torch: a Function, a module, or a function that takes the arguments and no upstream.

    One that can take both, as f(x, epsilon=1e-6), is if its first parameter is called as the first argument.
    """
    if not case.upstream:
        return False
    if is_function(code) or is_module(code):
        return True
    upstream, *names = case.packed(case.arguments)
    first = next(iter(parameters_of(code)), upstream)
    return takes(code, len(names)) and (first == names[0] or not takes(code, len(names) + 1))


def forward_of(code: Any, case: Case) -> tuple[Any, list[str]]:
    """What of it takes the arguments of a case, and how they are called."""
    names = [name for name in case.arguments if name not in case.upstream]
    if is_module(code):
        return code.forward, [name for name in names if name not in dict(code.named_parameters())]
    if not is_function(code):
        return code, names
    takes_ctx = code.setup_context is import_module("torch").autograd.Function.setup_context  # none of its own
    return code.forward, ["ctx", *names] if takes_ctx else names


def differentiated(code: Any, case: Case, arrays: Mapping[str, Array], results: tuple[str, ...]) -> tuple[Any, Any]:
    """Its outputs, and the gradients that its own backward pass gives for the upstream ones.

    If the case asks for one gradient alone, no other argument requires one, and the backward pass is run twice.

    Raises ContractError for another number of outputs, for one that can't be differentiated, and where the second run
    gives another gradient.
    """
    torch = import_module("torch")
    tensors = tensors_of(arrays, case.precision)
    leaves = [tensors[name].requires_grad_() for name in case.differentiated if case.alone in ("", name)]
    own = {name: tensor for name, tensor in tensors.items() if name not in case.upstream}
    with torch.enable_grad():
        outputs = _outputs(code, own)
        if len(outputs) != len(results):
            raise ContractError(f"returned {len(outputs)} outputs, expected {len(results)}")
        upstream = {name.replace("upstream", "out", 1): tensors[name] for name in case.upstream}
        outs = {name: out for name, out in zip(results, outputs, strict=True) if name in upstream}
        without = [n for n, out in outs.items() if not (isinstance(out, torch.Tensor) and out.requires_grad)]
        if without and (not case.alone or len(without) == len(outs)):  # each need not depend on each argument
            kind = type(outs[without[0]])
            what = f"{without[0]} without a gradient" if issubclass(kind, torch.Tensor) else f"a {kind.__name__}"
            raise ContractError(f"returned {what}, expected a tensor that can be differentiated")
        pairs = [(out, upstream[name]) for name, out in outs.items() if name not in without]
        outputs = tuple(out.detach().clone() if isinstance(out, torch.Tensor) else out for out in outputs)
        gradients = _gradients(pairs, leaves, twice=bool(case.alone))  # which may write to what it has returned
    write_back(tensors, arrays, case.precision)
    by_name = dict(zip([case.alone] if case.alone else case.differentiated, gradients, strict=True))
    return outputs if len(results) > 1 else outputs[0], tuple(map(by_name.get, case.differentiated))


def _outputs(code: Any, own: dict[str, Any]) -> tuple[Any, ...]:
    """What it returns for its own arguments, by name; a module is lent those that are called as its parameters."""
    if is_module(code):
        state = {name: own.pop(name) for name, _ in code.named_parameters() if name in own}
        outputs = import_module("torch").func.functional_call(code, state, tuple(own.values()))
    else:
        outputs = getattr(code, "apply", code)(*own.values())
    return tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)


def _gradients(pairs: Sequence[tuple[Any, Any]], leaves: Sequence[Any], *, twice: bool) -> tuple[Any, ...]:
    """Of the leaves, by the backward pass of (output, upstream); None of one that it does not reach.

    Raises ContractError if it is run twice, and gives another gradient then.
    """
    torch = import_module("torch")
    outs, upstream = zip(*pairs, strict=True)
    gradients = torch.autograd.grad(outs, leaves, upstream, allow_unused=True, retain_graph=twice)
    if not twice:
        return tuple(gradients)
    first = [gradient if gradient is None else gradient.clone() for gradient in gradients]
    try:
        second = torch.autograd.grad(outs, leaves, upstream, allow_unused=True)
        same = all(map(_is_the_same, first, second))
    except Exception as error:  # noqa: BLE001  # it may let go of what it has saved: then it can't be run again
        same = "modified by an inplace operation" not in str(error)
    if not same:
        raise ContractError("writes in its backward pass to what it has saved: run again, that gives another gradient")
    return tuple(first)


def _is_the_same(one: Any, other: Any) -> bool:
    return one is None or (other is not None and import_module("torch").allclose(one, other, 0, 0, equal_nan=True))
