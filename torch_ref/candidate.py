"""The code under test: found by name, called on copies of a case, and held to its contract."""

import importlib
import importlib.util
import inspect
import io
import linecache
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch

from torch_ref.cases import Array, Case

Candidate: TypeAlias = Callable[..., Any]  # (inputs, targets, *parameters) -> (loss, gradients in that order)


class UnusableError(ValueError):
    """There is nothing to test, or nothing to test it by: no such file or function, or a reference that can't serve."""


class ContractError(Exception):
    """The candidate did not return (loss, gradients), or did what it must not: there is nothing to compare."""


def load(name: str) -> Candidate:
    """The function that `package.module:function` or `path/to/file.py:function` names.

    Files beside the file, or modules in the working directory, can be imported by it. Raises UnusableError.
    """
    source, colon, function = name.rpartition(":")
    if not (source and colon and function):
        raise UnusableError(f"{name}: expected package.module:function or path/to/file.py:function")
    path = Path(source)
    is_file = path.suffix == ".py" or path.is_file()
    if is_file and not path.is_file():
        raise UnusableError(f"{source}: no such file")
    folder = str(path.resolve().parent) if is_file else str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with redirect_stdout(io.StringIO()):
            found: Any = _import_file(path) if is_file else importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name and (source == error.name or source.startswith(f"{error.name}.")):
            raise UnusableError(f"{source}: no such module") from None
        raise UnusableError(f"{source}: fails on import: {summary(error, source)}") from None
    except UnusableError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever their file does on import
        raise UnusableError(f"{source}: fails on import: {summary(error, source)}") from None
    return _function(found, function, name, source)


def _function(found: Any, function: str, name: str, source: str) -> Candidate:
    for attribute in function.split("."):
        if not hasattr(found, attribute):
            names = sorted(n for n, value in vars(found).items() if inspect.isfunction(value) and n[0] != "_")
            raise UnusableError(f"{name}: no such function; {source} has {', '.join(names) or 'none'}")
        found = getattr(found, attribute)
    if not callable(found):
        raise UnusableError(f"{name}: a {type(found).__name__}, expected a function")
    return found  # type: ignore[no-any-return]  # callable, as just seen


def _import_file(path: Path) -> ModuleType:
    name = path.stem if path.stem not in sys.modules else f"{path.stem} ({path.resolve()})"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnusableError(f"{path}: not a Python file, expected one that ends in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(candidate: Candidate, case: Case, printed: io.StringIO | None = None) -> dict[str, Any]:
    """What the candidate returns for a copy of the case, by name: "loss" and each parameter's gradient.

    What it prints goes to `printed`, never to standard output. Raises ContractError when it raises, exits, writes to
    its arguments or returns anything but a pair of the loss and one gradient per parameter.
    """
    given = {"inputs": case.inputs, "targets": case.targets, **case.parameters}
    copies = {name: array.copy() for name, array in given.items()}
    try:
        # exp(-G1) may overflow; what comes of it is seen later
        with redirect_stdout(printed or io.StringIO()), np.errstate(all="ignore"):
            answer = candidate(*copies.values())
    except SystemExit as error:
        raise ContractError(f"called sys.exit({error.code!r}), expected it to return") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever they raise, it is theirs
        _demand_arguments(candidate, list(given))
        raise ContractError(f"raised {summary(error, _file_of(candidate))}") from error
    for name, array in given.items():
        if copies[name].shape != array.shape or copies[name].tobytes() != array.tobytes():
            raise ContractError(f"wrote to its argument {name}, expected its arguments unchanged")
    expected = f"expected (loss, ({', '.join(f'dL_d{name}' for name in case.parameters)}))"
    if not isinstance(answer, Sequence) or isinstance(answer, str) or len(answer) != 2:
        raise ContractError(f"returned {_describe(answer)}, {expected}")
    loss, grads = answer
    if not isinstance(grads, Sequence) or isinstance(grads, str) or len(grads) != len(case.parameters):
        raise ContractError(f"returned {_describe(grads)} as the gradients, {expected}")
    return {"loss": loss, **dict(zip(case.parameters, grads, strict=True))}


def demand_the_same(candidate: Candidate, case: Case, first: dict[str, Array], right: dict[str, Array]) -> None:
    """Raise ContractError when another call gives another answer than the first; `right` is autograd's."""
    for name, value in call(candidate, case).items():
        try:
            again = as_array(value, case.dtype)
        except (TypeError, ValueError, RuntimeError):
            continue  # not an array: `compare` says so
        once = first.get(name)
        if once is None or again.dtype.kind != "f" or once.tobytes() == again.tobytes():
            continue
        grown = once.shape == again.shape == right[name].shape and np.allclose(again - once, right[name])
        why = ": it adds to the sums of the first; start them at zero in each call" if grown else ""
        raise ContractError(f"gave another answer for {name} in a second call with the same arguments{why}")


def prints(candidate: Candidate, case: Case) -> bool:
    """Whether a call writes to standard output."""
    printed = io.StringIO()
    with suppress(ContractError):
        call(candidate, case, printed)
    return bool(printed.getvalue())


def as_array(value: Any, dtype: np.dtype[Any]) -> Array:
    """What np.asarray makes of the value. Lists and Python floats carry no dtype of their own and take `dtype`.

    Raises TypeError, ValueError or RuntimeError for what is no array.
    """
    if value is None:
        raise TypeError("None")
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    array = np.asarray(value)
    return array.astype(dtype) if isinstance(value, float | list | tuple) and array.dtype == np.float64 else array


def _describe(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    kind = "None" if value is None else f"a {type(value).__name__}"
    return kind if shape is None else f"{kind} of shape {tuple(shape)}"


def _demand_arguments(candidate: Candidate, names: list[str]) -> None:
    try:
        inspect.signature(candidate).bind(*names)
    except TypeError:
        raise ContractError(f"takes {inspect.signature(candidate)}, expected ({', '.join(names)})") from None
    except ValueError:  # a builtin without a signature
        return


def _file_of(candidate: Candidate) -> str:
    code = getattr(inspect.unwrap(getattr(candidate, "func", candidate)), "__code__", None)
    return code.co_filename if code else ""


def summary(error: BaseException, file: str = "") -> str:
    """The exception, and the line that raised it: the innermost in `file`, or else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if file and Path(frame.filename).resolve() == Path(file).resolve()]
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ").partition("\n")[0]
    except Exception:  # noqa: BLE001  # its own __str__ fails
        text = type(error).__name__
    if isinstance(error, SyntaxError) or not frames:
        return text
    frame = (theirs or frames)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"{text} at {Path(frame.filename).name}:{frame.lineno}: {line}"
