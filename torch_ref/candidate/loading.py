"""The function that a name on the command line stands for."""

import importlib
import importlib.util
import inspect
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from torch_ref.errors import UnusableError, summary


def load(name: str) -> Callable[..., Any]:
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


def _function(found: Any, function: str, name: str, source: str) -> Callable[..., Any]:
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
