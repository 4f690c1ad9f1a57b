"""The size that decides whether a case passes."""

from torch_ref.results import Finding

ENOUGH = 3  # cases of one size, before it is said to decide


def only_for(outcomes: list[tuple[dict[str, int], bool]], names: tuple[str, ...]) -> list[Finding]:
    """Of the sizes of many cases, and whether each passed: those that decide it, as in "right only for batch = 1"."""
    findings = []
    for size in outcomes[0][0]:
        right, wrong = ([sizes[size] for sizes, passed in outcomes if passed is kind] for kind in (True, False))
        few, many, kind = (right, wrong, "right") if len(set(right)) == 1 else (wrong, right, "wrong")
        if len(few) >= ENOUGH and many and len(set(few)) == 1 and set(few).isdisjoint(many):
            (only,) = set(few)
            why = "is that size built into the code?"
            if (kind, only) == ("right", 1):
                why = "is the code written for one, is the first taken for all, or its own for a mean over all?"
            text = f"{kind} for {size} = {only} and for no other {size}: {why}"
            findings.append(Finding("condition", f"{kind} only for {size} = {only}", names, text))
    return findings
