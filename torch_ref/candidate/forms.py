"""What a candidate may be: a function of our contract, a pair of forward and backward, or code in torch.

Of an `Operator` alone: a pair (forward, backward), as courses and layer libraries write it, or an object that has the
two; and code in torch, whose own backward pass is what is judged. Of two layers alone: a training step.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch_ref.candidate.in_torch import differentiated, forward_of, is_torch
from torch_ref.candidate.kinds import is_function, is_module, pair_of, parameters_of, takes, takes_at_most
from torch_ref.candidate.naming import is_sequence
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
    if case.upstream and (pair := _pair(code, case)):
        return _forward_and_backward(pair, case, arrays, results)
    if is_torch(code, case):
        try:
            return differentiated(code, case, arrays, results)
        except ContractError as error:
            raise ContractError(f"{error}{advice_on_class(code)}") from None
    return code(*case.packed(arrays).values(), **options)


def can_be_asked(code: Any, case: Case) -> bool:
    """Whether there is anything to ask: one gradient alone is asked of code in torch only."""
    return not case.alone or is_in_torch(code, case)


def is_in_torch(code: Any, case: Case) -> bool:
    """Whether it is given tensors, and its own backward pass is what is judged."""
    return is_torch(code, case) and not _pair(code, case)


def _pair(code: Any, case: Case) -> tuple[Any, ...]:
    """As pair_of; but what can be called as our contract says is called so, whatever else it has."""
    pair = pair_of(code)
    ours = pair and callable(code) and takes_at_most(code, len(case.packed(case.arguments)))
    return () if ours else pair


def _forward_and_backward(
    pair: tuple[Any, ...], case: Case, arrays: Mapping[str, Array], results: tuple[str, ...]
) -> tuple[Any, Any]:
    """forward(*arguments) -> out or (out, cache); backward(upstream, cache), (upstream, *arguments) or (upstream)."""
    forward, backward = pair
    upstream, *arguments = case.packed(arrays).values()
    returned = forward(*arguments)
    outputs, more = returned, arguments
    if isinstance(returned, tuple) and len(returned) == 2 and (len(results) == 1 or is_sequence(returned[0])):
        outputs, cache = returned
        more = [cache] if takes(backward, 2) else arguments
    if not takes(backward, 1 + len(more)) and takes(backward, 1):  # an object that has kept what it needs
        more = []
    return outputs, backward(upstream, *more)


def demand_arguments(code: Any, case: Case, results: tuple[str, ...]) -> None:
    """Raise ContractError if a candidate can't take the arguments of a case."""
    names = [*case.packed(case.arguments), *(["learning_rate"] if case.step else [])]
    if case.upstream and (pair := _pair(code, case)):
        _demand(pair[0], names[1:], "forward ", advice(pair[0], case))
        if not any(takes(pair[1], count) for count in (1, 2, len(names))):
            _demand(pair[1], ["upstream", "cache"], "backward ", f", or ({', '.join(names)}){advice(pair[1], case)}")
    elif is_torch(code, case):
        function, names = forward_of(code, case)
        _demand(function, names, "forward ", advice(code, case))
        if is_function(code):
            _demand(code.backward, ["ctx", *(name.replace("out", "upstream", 1) for name in results)], "backward ", "")
    else:
        tensors = f", or ({', '.join(names[1:])}) of tensors" if case.upstream else ""
        _demand(code, names, "", f"{tensors}{advice(code, case)}")


def _demand(function: Any, names: Sequence[str], who: str, more: str) -> None:
    if not takes(function, len(names)):
        raise ContractError(f"{who}takes {inspect.signature(function)}, expected ({', '.join(names)}){more}") from None


def advice(code: Any, case: Case) -> str:
    """What may be meant by a candidate that does not keep the contract."""
    if is_function(code):
        return f"; or name a function of tensors that calls {code.__name__}.apply with the rest"
    if is_module(code):
        own = ", ".join(name for name, _ in code.named_parameters()) or "no parameter"
        return f"; arguments may also be parameters of these names, but it has {own}"
    if more := advice_on_class(code):
        return more
    if "self" in parameters_of(code):
        return "; it is a method: name a function that makes the object and calls it"
    if case.step is False and takes_at_most(code, len(case.packed(case.arguments)) + 1):
        return "; is it a training step, with a learning rate? Then say --step (step=True)"
    return ""


def advice_on_class(code: Any) -> str:
    """What may be meant by a class whose objects are made of the arguments, as a call of it does."""
    made = isinstance(code, type) and not is_function(code) and not pair_of(code)
    return "; it is a class: name an object of it, or a function that makes one and calls it" if made else ""


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
