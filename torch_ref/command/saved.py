"""A case in a file: written where it fails, and read to run it again."""

import json
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from torch_ref.cases.case import Case
from torch_ref.errors import UnusableError
from torch_ref.precision import PRECISIONS
from torch_ref.reference.base import BaseReference
from torch_ref.results import Comparison

WHAT = "case"  # the entry that says where the arrays came from


def save_case(path: Path, comparison: Comparison) -> None:
    """Write its arguments by name, both answers with autograd_ and candidate_ before the names, and what it was.

    Raises OSError.
    """
    case = comparison.case
    arrays = dict(case.arguments)
    for source, answers in ("autograd", comparison.autograd), ("candidate", comparison.yours):
        arrays |= {f"{source}_{case.label(name).replace('/', '_')}": array for name, array in answers.items()}
    what = {"precision": case.precision.name, "saturated": case.saturated, "kind": case.kind, "order": case.order}
    what |= {"alone": case.alone} if case.alone else {}
    arrays[WHAT] = np.array(json.dumps({"seed": case.seed, "sizes": case.sizes, **what}))
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own option


def load_case(path: Path, reference: BaseReference) -> Case:
    """The case in the file, of this reference. Raises UnusableError for a file that is of no use."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            what = json.loads(str(saved[WHAT]))
            precision, alone = PRECISIONS[what.pop("precision")], what.pop("alone", "")
            case = reference.cases.draw(*what.pop("sizes").values(), precision=precision, **what)
            arrays = {name: saved[name] for name in case.arguments}
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise UnusableError(f"--case {path}: not a case of {reference}, saved by --save: {error}") from None
    for name, array in arrays.items():
        if array.shape != case.arguments[name].shape or array.dtype != case.arguments[name].dtype:
            raise UnusableError(f"--case {path}: {name} of shape {array.shape} does not go with {reference}")
    return replace(case.with_arguments(**arrays), alone=alone)
