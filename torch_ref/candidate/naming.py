"""What a candidate returned, by the names of the results and of the differentiated arguments."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch_ref.cases.case import Case
from torch_ref.errors import ContractError

# How a gradient is called besides the name of its argument: dW1, dL_dW1, dL/dW1, grad_W1, W1_grad, in any case.
PREFIXES = re.compile(r"^(dl[_/]?d|d_?|∂l?/?∂?|grad(ient)?s?_?(of_?)?)|(_?grad)$", re.IGNORECASE)


def named(returned: Any, results: tuple[str, ...], case: Case) -> dict[str, Any]:
    """The values of (results, gradients), by name; a result that is None is left out.

    The gradients are a sequence in order, or a mapping by name; the mapping alone will do, without results or with them
    in it. Raises ContractError for anything else.
    """
    if isinstance(returned, Mapping):
        given = [returned[name] for name in results if name in returned]
        returned = (None if len(given) < len(results) else given[0] if len(given) == 1 else given, returned)
    if not is_sequence(returned) or len(returned) != 2:
        alone = is_sequence(returned) and len(returned) == len(case.differentiated) and not case.upstream
        hint = "; without a loss, (None, gradients)" if alone else ""
        raise ContractError(f"returned {_described(returned)}, {_expected(results, case)}{hint}")
    values, grads = returned
    if values is None or len(results) == 1:
        values = [values] * len(results)
    elif not is_sequence(values) or len(values) != len(results):
        raise ContractError(f"returned {_described(values)} as the results, {_expected(results, case)}")
    if isinstance(grads, Mapping):
        keys = {name: _key(grads, name, case) for name in case.differentiated if case.asks(name)}
        grads = [grads[keys[name]] if name in keys else None for name in case.differentiated]
    if len(case.differentiated) == 1 and not is_sequence(grads):
        grads = [grads]
    grads = _without_nones(grads, case)
    if not is_sequence(grads) or len(grads) != len(case.differentiated):
        what = "parameters" if case.step else "gradients"
        raise ContractError(f"returned {_described(grads)} as the {what}, {_expected(results, case)}")
    found = {name: value for name, value in zip(results, values, strict=True) if value is not None}
    gradients = dict(zip(case.differentiated, grads, strict=True))
    return found | {name: value for name, value in gradients.items() if case.asks(name) or value is not None}


def unused(returned: Any, results: tuple[str, ...], case: Case) -> list[str]:
    """The keys of the gradients, if they came by name, that stand for nothing a case has: a slip of the pen perhaps."""
    grads = returned[1] if is_sequence(returned) and len(returned) == 2 else returned
    known = (*case.arguments, *results)
    keys = [key for key in grads if isinstance(key, str)] if isinstance(grads, Mapping) else []
    return [key for key in keys if not any(_means(key, name) for name in known)]


def _without_nones(gradients: Any, case: Case) -> Any:
    """Without the None, if there is one for each argument that is not differentiated, as torch has it."""
    own = list(case.packed(case.arguments))[bool(case.upstream) :]
    if not is_sequence(gradients) or len(gradients) != len(own) or not set(case.differentiated) <= set(own):
        return gradients
    by_name = dict(zip(own, gradients, strict=True))
    given = [name for name in own if name not in case.differentiated]
    if any(by_name[name] is not None for name in given):
        return gradients
    return [by_name[name] for name in case.differentiated]


def _key(gradients: Mapping[Any, Any], name: str, case: Case) -> Any:
    """The one key that stands for the gradient of this argument."""
    meant = [key for key in gradients if isinstance(key, str) and _means(key, name)]
    if len(meant) != 1:
        keys, several = ", ".join(map(str, gradients)), f" ({' and '.join(meant)})" if meant else ""
        what, names = f"gradient {case.label(name)}", f"{name}, d{name} or dL_d{name}"
        if case.step:
            what, names = f"parameter {name}", name
        wrong = f"{'two' if meant else 'no'} {what.replace(' ', 's ', 1) if meant else what}{several}"
        raise ContractError(f"returned {wrong} among {keys}, expected one called {names}")
    return meant[0]


def _means(key: str, name: str) -> bool:
    plain = name.casefold()
    return plain in (key.casefold(), PREFIXES.sub("", key, count=1).casefold())


def _expected(results: tuple[str, ...], case: Case) -> str:
    if case.step:
        return f"expected the new ({', '.join(case.differentiated)}), with the loss before them or without"
    gradients = ", ".join(case.label(name).replace("/", "_") for name in case.differentiated)
    several = f"({', '.join(results)})" if len(results) > 1 else results[0]
    return f"expected ({several}, ({gradients}))"


def is_sequence(value: Any) -> bool:
    """Whether this is a tuple or a list, or the like."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def _described(value: Any) -> str:
    if is_sequence(value):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    kind = "None" if value is None else f"a {type(value).__name__}"
    return kind if shape is None else f"{kind} of shape {tuple(shape)}"
