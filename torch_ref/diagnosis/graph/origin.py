"""Where a node comes from: the module, the operator of the forward pass, its line in the source."""

from pathlib import Path
from typing import NamedTuple

import torch

from torch_ref.diagnosis.graph.trace import Trace, is_backward

OURS = Path(torch.__file__).parent, Path(__file__).parents[2]  # lines of torch and of this package say little


class Origin(NamedTuple):
    """module: its name and its class, both empty outside of any. operator: of the forward pass, as torch calls it."""

    module: tuple[str, str]
    operator: str
    line: str


def origin_of(trace: Trace, i: int) -> Origin:
    """Of a node of either pass: where the operator stands in the forward pass."""
    node = trace.nodes[i]
    block = trace.blocks.get(trace.number(i), [i])
    there = [trace.nodes[j] for j in block if not is_backward(trace.nodes[j])] or [node]
    custom = next((of.meta["custom"] for of in there if of.meta.get("custom", {}).get("module")), {})
    line = next((line for of in reversed(there) if (line := _line(of.meta.get("stack_trace", "")))), "")
    operator = str(there[-1].meta.get("original_aten") or there[-1].target)
    return Origin(custom.get("module", ("", "")), operator.removeprefix("aten.").partition(".")[0], line)


def _line(stack: str) -> str:
    """The innermost line of a stack that is the user's own."""
    for frame in reversed(stack.split('File "')[1:]):
        path, _, rest = frame.partition('"')
        code = [line.strip() for line in rest.splitlines()[1:] if set(line.strip()) - set("~^")]
        if code and not any(Path(path).is_relative_to(folder) for folder in OURS):
            return code[0]
    return ""
