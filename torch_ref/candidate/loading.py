"""The function that a name on the command line stands for."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch_ref.candidate.kinds import is_function, meant, pair_of, parameters_of, takes
from torch_ref.candidate.printing import kept_out
from torch_ref.errors import UnusableError, plain, summary


@dataclass(frozen=True)
class Name:
    """What a name on the command line says: the module or file, and the function in it.

    file is None for a module. folder is where what it imports is looked for first.
    """

    source: str
    function: str
    file: Path | None
    folder: str


def parsed(name: str) -> Name:
    """The parts of `package.module:function` or `path/to/file.py:function`. Imports nothing. Raises UnusableError.

    `path/to/file.py` alone stands for its only function; then that is "".
    """
    source, colon, function = name.rpartition(":")
    if name.endswith(".py") and not Path(source).is_file():
        source, colon, function = name, ":", ""
    elif not (source and colon and function):
        raise UnusableError(f"{plain(name)}: expected package.module:function or path/to/file.py:function")
    path = Path(source)
    is_file = path.suffix == ".py" or path.is_file()
    if is_file and not path.is_file():
        raise UnusableError(f"{plain(source)}: no such file")
    folder = path.resolve().parent if is_file else Path.cwd()
    return Name(source, function, path if is_file else None, str(folder))


def load(name: str, *, makes: bool = False) -> Any:
    """As `found`, without the name."""
    return found(name, makes=makes)[1]


def found(name: str, *, makes: bool = False) -> tuple[str, Any]:
    """The function that `package.module:function` or `path/to/file.py:function` names, after its whole name.

    The name of a file alone is completed by what was taken in it. Two functions, forward,backward, are a pair of them.
    Files beside the file, or modules in the working directory, can be imported by it, and come before any others of
    their names that are not imported yet. makes says that it is to make a reference, and no candidate. Raises
    UnusableError.
    """
    of = parsed(name)
    source = plain(of.source)
    if sys.path[:1] != [of.folder]:
        sys.path.insert(0, of.folder)
    try:
        with kept_out():
            module = _import_file(of.file) if of.file else importlib.import_module(of.source)
    except ModuleNotFoundError as error:
        if error.name and (of.source == error.name or of.source.startswith(f"{error.name}.")):
            raise UnusableError(f"{source}: no such module") from None
        raise UnusableError(f"{source}: fails on import: {summary(error, of.source)}") from None
    except UnusableError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever their file does on import
        raise UnusableError(f"{source}: fails on import: {summary(error, of.source)}") from None
    if not of.function:
        function, code = _only(of, _own(module), makes=makes)
        return f"{of.source}:{function}", code
    first, *rest = (_function(module, replace(of, function=function)) for function in of.function.split(","))
    return name, (first, *rest) if rest else first


def _only(of: Name, own: Mapping[str, Any], *, makes: bool) -> tuple[str, Any]:
    """The one thing in a file that will do, after its name."""
    source, named = plain(of.source), _makers(own) if makes else _candidates(own)
    if not named:
        to = "make a reference, called without arguments" if makes else "check"
        raise UnusableError(f"{source}: has no function of its own to {to}; name what is meant: {source}:name")
    if len(named) != 1:
        which, first = plain(", ".join(sorted(named))), plain(min(named))
        raise UnusableError(f"{source}: which of {which}; expected {source}:{first}")
    (only,) = named.items()
    return only


def _own(module: ModuleType) -> dict[str, Any]:
    """The functions and classes that a file defines itself, without an underscore."""
    kinds = inspect.isfunction, inspect.isclass
    own = {name: value for name, value in vars(module).items() if any(is_one(value) for is_one in kinds)}
    return {name: value for name, value in own.items() if value.__module__ == module.__name__ and name[0] != "_"}


def _makers(own: Mapping[str, Any]) -> dict[str, Any]:
    """The functions that may make a reference: they need no argument."""
    return {name: value for name, value in own.items() if inspect.isfunction(value) and takes(value, 0)}


def _candidates(own: Mapping[str, Any]) -> dict[str, Any]:
    """What may be a candidate: the functions that take the six arguments of two layers, if there are any.

    Else all of them, but for what is there for a reference or is a test; a forward and its backward as the pair that
    they are, and the classes that can be called without an object.
    """
    functions = {name: value for name, value in own.items() if inspect.isfunction(value)}
    if fitting := {name: value for name, value in functions.items() if takes(value, 6)}:
        return fitting
    found = {name: value for name, value in own.items() if value not in functions.values() and pair_of(value)}
    found |= {name: value for name, value in own.items() if is_function(value)}
    for name, value in functions.items():
        if name.startswith("test_") or takes(value, 0) or next(iter(parameters_of(value))) == "rng":
            continue
        other = {"forward": "backward", "backward": "forward"}
        partner = next((name.replace(word, other[word]) for word in other if word in name), "")
        if partner not in functions:
            found[name] = value
        elif "forward" in name:
            found[f"{name},{partner}"] = value, functions[partner]
    return found


def _function(found: Any, of: Name) -> Any:
    name = plain(f"{of.source}:{of.function}")
    for attribute in of.function.split("."):
        if not hasattr(found, attribute):
            own = getattr(found, "__dict__", {})
            names = sorted(n for n, value in own.items() if inspect.isfunction(value) and n[0] != "_")
            has = plain(", ".join(names)) or "none"
            raise UnusableError(f"{name}: no such function; {plain(of.source)} has {has}")
        found = getattr(found, attribute)
    if not (callable(found) or pair_of(found)):
        raise UnusableError(f"{name}: a {plain(type(found).__name__)}, expected a function")
    return meant(found)


def _import_file(path: Path) -> ModuleType:
    taken = path.stem in sys.modules or path.stem in sys.builtin_module_names
    name = f"{path.stem} ({path.resolve()})" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnusableError(f"{path}: not a Python file, expected one that ends in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def import_own_network() -> None:
    """Import the numpy_impl that lies beside torch_ref, whatever else of that name the path would find."""
    home = Path(__file__).parents[2] / "numpy_impl"
    spec = importlib.util.spec_from_file_location(
        "numpy_impl", home / "__init__.py", submodule_search_locations=[str(home)]
    )
    if "numpy_impl" not in sys.modules and spec and spec.loader:
        sys.modules["numpy_impl"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["numpy_impl"])


@contextmanager
def room_for_another_network() -> Iterator[None]:
    """While entered, `import numpy_impl` looks for one, and takes ours last; where we need it, it must be by then."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "numpy_impl"}
    for name in ours:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(ours)
