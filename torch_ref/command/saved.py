"""A case in a file: written where it fails, and read to run it again."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from torch_ref.cases.case import Case
from torch_ref.errors import UnusableError
from torch_ref.outcome import Outcome
from torch_ref.precision import PRECISIONS
from torch_ref.reference.base import BaseReference
from torch_ref.results import Comparison, Description

WHAT = "case"  # the entry that says where the arrays came from
OF_NETWORK = "activation", "loss", "reduction", "layout"


def save_case(path: Path, comparison: Comparison, outcome: Outcome) -> None:
    """Write its arguments by name, both answers with autograd_ and candidate_ before the names, and what it was.

    Raises OSError.
    """
    case = comparison.case
    arrays = dict(case.arguments)
    for source, answers in ("autograd", comparison.autograd), ("candidate", comparison.yours):
        arrays |= {f"{source}_{case.label(name).replace('/', '_')}": array for name, array in answers.items()}
    what = {"precision": case.precision.name, "saturated": case.saturated, "kind": case.kind, "order": case.order}
    what |= {"alone": case.alone} if case.alone else {}
    what |= {"seed": case.seed, "sizes": case.sizes, "options": _options(outcome.reference, outcome.settings)}
    arrays[WHAT] = np.array(json.dumps(what))
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own option


def load_case(path: Path, reference: BaseReference, dtype: str | None = None) -> Case:
    """The case in the file, of this reference and dtype. Raises UnusableError for another, or a file of no use."""
    wrong = UnusableError(f"--case {path}: not a case saved by --save of {reference}")
    try:
        with np.load(path, allow_pickle=False) as saved:
            what = json.loads(str(saved[WHAT]))
            _demand_options(path, what.pop("options"), _options(reference.description, reference.settings))
            precision, alone = PRECISIONS[what.pop("precision")], what.pop("alone", "")
            case = reference.cases.draw(*what.pop("sizes").values(), precision=precision, **what)
            arrays = {name: saved[name] for name in case.arguments}
    except UnusableError:
        raise
    except OSError as error:
        raise UnusableError(f"--case {path}: {error.strerror}") if error.strerror else wrong from None
    except Exception:  # noqa: BLE001  # whatever is in their file
        raise wrong from None
    for name, array in arrays.items():
        its = case.arguments[name]
        if array.shape != its.shape or array.dtype != its.dtype or not np.isfinite(array).all():
            raise wrong
    if dtype not in (None, precision.name):
        raise UnusableError(f"--dtype {dtype}: {path} is a case in {precision.name}; leave it out")
    return replace(case.with_arguments(**arrays), alone=alone)


def _options(of: Description, settings: Mapping[str, Any]) -> dict[str, str]:
    """The options of the command that say what is right; the value of --step is empty."""
    if "--reference" in of.words:
        return {"reference": of.words[of.words.index("--reference") + 1]}
    network = {name: settings[name] for name in OF_NETWORK if name in settings}
    return network | ({"step": ""} if "--step" in of.words else {})


def _demand_options(path: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise UnusableError for other options than it was saved with; the folder of a reference may be another."""
    differing = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if differing == ["reference"] and Path(then.get("reference", "")).name == Path(now.get("reference", "")).name:
        return
    words = [f"--{name} {shlex.quote(then[name])}".removesuffix(" ''") for name in differing if name in then]
    others = [f"--{name}" for name in ("reference", "step") if name in differing and name not in then]
    how = [f"{word} {' '.join(some)}" for word, some in (("with", words), ("without", others)) if some]
    if how:
        raise UnusableError(f"--case {path}: was saved {' and '.join(how)}; say the same here")
