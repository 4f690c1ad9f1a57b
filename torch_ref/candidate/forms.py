"""What a candidate may be: a function of our contract, a pair of forward and backward, or code in torch.

Of an `Operator` alone: a pair (forward, backward), as courses and layer libraries write it; a torch.autograd.Function,
an nn.Module or a function of tensors, whose own backward pass is what is judged. Of two layers alone: a training step.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from torch_ref.candidate.stepping import stepped
from torch_ref.cases.case import Array, Case
from torch_ref.errors import ContractError
from torch_ref.results import Place


def called(
    code: Any, case: Case, arrays: Mapping[str, Array], results: tuple[str, ...], options: Mapping[str, str]
) -> Any:
    """What the candidate returns for these arrays, the case's arguments by name: results and gradients."""
    if case.step:
        return stepped(code, case, arrays, options)
    if isinstance(code, tuple):
        return _forward_and_backward(code, case, arrays, results)
    if is_torch(code, case):
        return _differentiated(code, case, arrays, results)
    return code(*case.packed(arrays).values(), **options)


def _forward_and_backward(
    pair: tuple[Callable[..., Any], Callable[..., Any]],
    case: Case,
    arrays: Mapping[str, Array],
    results: tuple[str, ...],
) -> tuple[Any, Any]:
    """forward(*arguments) -> out or (out, cache); backward(upstream, cache) or backward(upstream, *arguments)."""
    forward, backward = pair
    upstream, *arguments = case.packed(arrays).values()
    returned = forward(*arguments)
    outputs, cache = returned, None
    if _is_pair(returned) and (len(results) == 1 or _is_sequence(returned[0])):
        outputs, cache = returned
    takes_cache = outputs is not returned and _takes(backward, 2)
    gradients = backward(upstream, cache) if takes_cache else backward(upstream, *arguments)
    one = len(case.differentiated) == 1 and not isinstance(gradients, list | tuple | Mapping)
    return outputs, (gradients,) if one else gradients


def is_torch(code: Any, case: Case) -> bool:
    """Whether it is code in torch: a Function, a module, or a function that takes the arguments and no upstream."""
    if not case.upstream:
        return False
    torch = sys.modules.get("torch")  # who has not imported it may have a function of tensors still
    if torch is None:
        pass
    elif isinstance(code, torch.nn.Module) or (isinstance(code, type) and issubclass(code, torch.autograd.Function)):
        return True
    count = len(case.packed(case.arguments))
    return _takes(code, count - 1) and not _takes(code, count)


def _differentiated(
    code: Any, case: Case, arrays: Mapping[str, Array], results: tuple[str, ...]
) -> tuple[tuple[Any, ...] | Any, tuple[Any, ...]]:
    """Its outputs, and the gradients that its own backward pass gives for the upstream ones."""
    torch = import_module("torch")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    leaves = {name: tensors[name].requires_grad_() for name in case.differentiated}
    own = {name: tensor for name, tensor in tensors.items() if name not in case.upstream}
    with torch.enable_grad():
        if isinstance(code, torch.nn.Module):
            state = {name: own.pop(name) for name, _ in code.named_parameters() if name in own}
            outputs = torch.func.functional_call(code, state, tuple(own.values()))
        else:
            outputs = getattr(code, "apply", code)(*own.values())
        several = tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
        if len(several) != len(results):
            raise ContractError(f"returned {len(several)} outputs, expected {len(results)}")
        by_upstream = {name.replace("upstream", "out", 1): tensors[name] for name in case.upstream}
        pairs = [(out, by_upstream[name]) for name, out in zip(results, several, strict=True) if name in by_upstream]
        for name, (out, _) in zip(by_upstream, pairs, strict=True):
            if not (isinstance(out, torch.Tensor) and out.requires_grad):
                raise ContractError(f"returned {name} without a gradient, expected a tensor that can be differentiated")
        outs, upstream = zip(*pairs, strict=True)
        gradients = torch.autograd.grad(outs, tuple(leaves.values()), upstream, allow_unused=True)
    return several if len(results) > 1 else several[0], gradients


def parameters_of(code: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function by name; none of what has no signature."""
    try:
        return inspect.signature(code).parameters
    except Exception:  # noqa: BLE001  # a pair, a builtin; an object that is strange about its own
        return {}


def demand_arguments(code: Any, case: Case) -> None:
    """Raise ContractError if a function can't take the arguments of a case."""
    if isinstance(code, tuple) or is_torch(code, case) or not parameters_of(code):
        return
    names = [*case.packed(case.arguments), *(["learning_rate"] if case.step else [])]
    if not _takes(code, len(names)):
        raise ContractError(f"takes {inspect.signature(code)}, expected ({', '.join(names)})") from None


def _takes(function: Any, count: int) -> bool:
    """Whether it can be called with so many arguments, as far as its signature says."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except Exception:  # noqa: BLE001  # a builtin without a signature; an object that is strange about its own
        return True
    return True


def place_of(code: Any) -> Place | None:
    """Where a function is written: of a pair the second, of an object its class. None where that is not in a file."""
    function = inspect.unwrap(code[-1] if isinstance(code, tuple) else getattr(code, "func", code))
    if (own := getattr(function, "__code__", None)) is not None:
        return Place(own.co_filename, own.co_firstlineno) if Path(own.co_filename).is_file() else None
    if not isinstance(function, type):
        function = type(function)
    try:
        file, (_, line) = inspect.getsourcefile(function), inspect.getsourcelines(function)
    except (TypeError, OSError):  # a builtin; a file that is gone, or never was one
        return None
    return Place(file, line) if file else None


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2
