"""What is wrong with a condition, or with what is counted under one."""

from torch.fx import Node

from torch_ref.diagnosis.graph.branches import opposite
from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.naming import argument
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.vocabulary import operator


def always(trace: Trace, i: int, *, value: bool) -> str:
    """A condition that is not looked at."""
    node = trace.nodes[i]
    sign = {"ne": "≠", "eq": "=", "lt": "<", "le": "≤", "gt": ">", "ge": "≥"}.get(str(node.target).split(".")[1], "")
    if value and all("sum" in str(user.target) or "_to_copy" in str(user.target) for user in node.users):
        return _all_of(trace, i)
    condition = f"the condition {argument(trace, i, 0)} {sign} {argument(trace, i, 1)}" if sign else "the mask"
    return f"{condition} is not looked at, as if it {'always' if value else 'never'} held"


def all_counted(trace: Trace, i: int) -> str:
    """A sum of a mask that counts everything."""
    summed = trace.nodes[i].args[0]
    return _all_of(trace, trace.position[summed]) if isinstance(summed, Node) else "all are counted"


def _all_of(trace: Trace, i: int) -> str:
    if operator(origin_of(trace, i).operator).endswith("pooling"):
        return "every element of a window gets the gradient, not the largest alone"
    mask = formula(trace, i, 3, top=False)
    return f"all are counted, also {f'where {opposite(mask)}' if opposite(mask) else f'those that {mask} leaves out'}"
