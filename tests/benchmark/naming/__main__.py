"""python -m tests.benchmark.naming [word]: how many planted mistakes the diagnosis names, and in how many seconds."""

import sys
import time
from collections import Counter
from functools import cache
from statistics import median

import torch

from tests.benchmark.naming import attention, convolutions, gated, mixed, norms, recurrent, tokens, windows
from torch_ref import check

KINDS = [
    kind
    for module in (recurrent, norms, convolutions, windows, attention, tokens, gated, mixed)
    for kind in module.KINDS
]
CASES = 10


@cache
def right_one(name):
    """The seconds that a right candidate takes; it must pass."""
    (kind,) = (kind for kind in KINDS if kind.name == name)
    start = time.process_time()
    passing = check(kind.planted(""), reference=kind.reference, cases=CASES)
    assert passing.passed, str(passing)
    return time.process_time() - start


def named(kind, mistake):
    """How the diagnosis does with one mistake, what it says, and the seconds it takes."""
    start = time.process_time()
    report = check(kind.planted(mistake), reference=kind.reference, cases=CASES)
    seconds = time.process_time() - start - right_one(kind.name)
    if report.passed:
        return "passes", [], seconds
    texts = [finding.text for finding in report.findings]
    unknown = any(finding.kind == "chain" for finding in report.findings)
    words = kind.mistakes[mistake]
    said = bool(words) and any(words in text for text in texts)
    verdict = "not" if unknown or not texts else "right" if said else "wrongly"
    return verdict, texts, seconds


def main():
    torch.set_num_threads(1)
    verdicts, seconds = Counter(), []
    for kind in KINDS:
        for mistake in kind.mistakes:
            if not all(word in f"{kind.name} {mistake}" for word in sys.argv[1:]):
                continue
            verdict, texts, taken = named(kind, mistake)
            verdicts[verdict] += 1
            seconds.append(taken)
            print(f"{verdict:8}{taken:5.1f} s  {kind.name}: {mistake}", flush=True)
            for text in texts:
                print(f"           {text}")
    print({verdict: f"{count} ({100 * count / sum(verdicts.values()):.0f} %)" for verdict, count in verdicts.items()})
    print(f"seconds more than the right one takes: median {median(seconds):.1f}, worst {max(seconds):.1f}")


if __name__ == "__main__":
    main()
