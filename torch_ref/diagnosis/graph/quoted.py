"""The part of a line of the source that a value of the forward pass is computed by."""

import ast
from collections.abc import Iterator
from functools import cache

from torch_ref.diagnosis.graph.gates import gates
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.origin import origin_of
from torch_ref.diagnosis.graph.time_steps import in_time, steps
from torch_ref.diagnosis.graph.trace import Trace

LONGEST = 48  # signs that are quoted
SIGNS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.MatMult: "mm"}
SAME = {"rsub": "sub", "select": "index", "bmm": "mm", "mv": "mm", "dot": "mm"}  # in a line


@cache
def quoted(trace: Trace, i: int) -> str:
    """The text whose value this is, in backquotes; nothing, if the line has not as many of this operator as are run."""
    there = [j for j in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[j])]
    if not there or i != there[-1]:
        return ""
    origin, step = origin_of(trace, i), steps(trace).get(trace.number(i))
    if step is None:
        return ""
    kind, runs_again = _kind(origin.operator), in_time(trace, i)
    alike = sorted(  # those of modules that are called on this line too
        number
        for number, other in steps(trace).items()
        if (other.step == step.step or not runs_again)
        and (of := origin_of(trace, trace.blocks[number][0])).line == origin.line
        and _kind(of.operator) == kind
    )
    texts = [text for name, text in _parts(origin.line) if name == kind]
    text = texts[alike.index(trace.number(i))] if len(texts) == len(alike) else ""
    return f"`{text}`" if 0 < len(text) <= LONGEST else ""


def one_of_several(trace: Trace, i: int) -> str:
    """The text of the operator of a node of either pass, if its line has several of its kind."""
    there = [j for j in trace.blocks.get(trace.number(i), ()) if not is_backward(trace.nodes[j])]
    origin = origin_of(trace, i)
    if there and "split" not in origin.operator and (name := gates(trace).get(there[-1])):
        return name
    alike = [text for name, text in _parts(origin.line) if name == _kind(origin.operator)]
    return quoted(trace, there[-1]) if there and len(set(alike)) > 1 else ""


def _kind(operator: str) -> str:
    return SAME.get(operator, operator.removesuffix("_"))


@cache
def _parts(line: str) -> tuple[tuple[str, str], ...]:
    """The operators of a line with the text of each, in the order in which they are computed."""
    try:
        tree = ast.parse(line)
    except SyntaxError:  # the first line of several
        return ()
    return tuple((name, ast.get_source_segment(line, node) or "") for name, node in _computed(tree))


def _computed(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for child in ast.iter_child_nodes(node):
        yield from _computed(child)
    if isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
        yield SIGNS[type(node.op)], node
    if isinstance(node, ast.Subscript):
        yield "index", node
    if isinstance(node, ast.Call):
        yield getattr(node.func, "attr", getattr(node.func, "id", "")), node
