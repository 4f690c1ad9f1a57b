"""What is wrong where a value of another time step is used."""

from torch_ref.diagnosis.graph.formulas import formula
from torch_ref.diagnosis.graph.naming import argument
from torch_ref.diagnosis.graph.nodes import is_backward
from torch_ref.diagnosis.graph.time_steps import in_time, steps
from torch_ref.diagnosis.graph.trace import Trace
from torch_ref.diagnosis.graph.uses import OWN

# By what is used: how many steps away from what belongs there; none, where it is always the same.
STEPS_AWAY = {"step before": -1, "step after": 1, OWN[0]: -1, OWN[1]: 1, "first step": None, "last step": None}


def of_another_step(trace: Trace, i: int, j: int, *, what: str) -> str:
    """That of step t - 1, say, in place of that of step t, where t is the step of the operator."""
    away, taken = STEPS_AWAY[what], trace.position[trace.nodes[i].args[j]]
    name = formula(trace, taken, 3, top=False)
    own, of = (steps(trace).get(trace.number(k)) for k in (i, taken))
    if away is None:
        return f"{argument(trace, i, j)} is that of the {what} every time, not of each step its own"
    if is_backward(trace.nodes[taken]) or not (own and of and own.steps == of.steps > 1 and in_time(trace, taken)):
        return f"{argument(trace, i, j)} is that of the {what}, not its own"
    belongs = of.step - own.step
    but = what.partition(",")[1] + what.partition(",")[2]
    there, right = _at(name, belongs + away), _at(name, belongs)
    right = right.replace(name, "that", 1) if name in there else right
    return f"{there} is used in place of {right}{but}"


def _at(name: str, offset: int) -> str:
    step = f"t {'-' if offset < 0 else '+'} {abs(offset)}" if offset else "t"
    return (
        name.replace("_t`", f"_({step.replace(' ', '')})`".replace("_(t)", "_t"))
        if name.endswith("_t`")
        else (f"{name} of step {step}")
    )
