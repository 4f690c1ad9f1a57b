"""Where a node comes from: the module, the operator of the forward pass, its line in the source."""

from functools import cache
from typing import Any, NamedTuple

from torch.fx import Node

from torch_ref.diagnosis.graph.nodes import is_backward, own_lines
from torch_ref.diagnosis.graph.trace import Trace


class Origin(NamedTuple):
    """module: its name and its class, both empty outside of any. operator: of the forward pass, as torch calls it."""

    module: tuple[str, str]
    operator: str
    line: str


@cache
def origin_of(trace: Trace, i: int) -> Origin:
    """Of a node of either pass: where the operator stands in the forward pass."""
    node = trace.nodes[i]
    there = [trace.nodes[j] for j in trace.blocks.get(trace.number(i), [i]) if not is_backward(trace.nodes[j])]
    if not there:
        return Origin(
            ("", ""), str(node.meta.get("original_aten", node.target)).removeprefix("aten.").partition(".")[0], ""
        )
    custom: dict[str, Any] = next((of.meta["custom"] for of in there if of.meta.get("custom", {}).get("module")), {})
    lines = [frames[-1] for of in reversed(there) if (frames := own_lines(of.meta.get("stack_trace", "")))]
    line = lines[0].partition(": ")[2] if lines else ""
    operator = str(there[-1].meta.get("original_aten") or there[-1].target).removeprefix("aten.").partition(".")[0]
    module = custom.get("module", ("", ""))
    if "batch_norm" in operator and _is_of_one_sample(trace, there[-1].all_input_nodes[0]):
        operator = "instance_norm"  # torch computes it as a batch norm of one sample that has all channels
    return Origin(module, operator, line)


def _is_of_one_sample(trace: Trace, node: Node) -> bool:
    shape: tuple[int, ...] = getattr(trace.values[trace.position[node]], "shape", ())
    return len(shape) > 2 and shape[0] == 1 < trace.case.sizes.get("batch", 1)  # batch, channels
