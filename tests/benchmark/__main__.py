"""python -m tests.benchmark: power, false alarms and cost of the gate beside other tools; the README's tables.

It takes about a quarter of an hour and draws the picture .github/benchmark.svg. With --quick it takes fewer cases
and leaves out the largest network and the picture.
"""

import argparse
import os

os.environ |= dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)  # before numpy's import

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from tests.benchmark import cost
from tests.benchmark.power import CONTROLS, ERRORS, controls, false_alarms, power
from tests.benchmark.tools import SLOW, TOOLS

PICTURE = Path(__file__).parents[2] / ".github" / "benchmark.svg"
DTYPES = "float64", "float32"


def table(header, rows):
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def powers(count):
    """The table of power and false alarms. Returns the smallest errors caught, by dtype and tool."""
    print(f"\nThe relative error caught in 95 % of {count} ordinary cases, and correct code rejected in as many.")
    print(f"({SLOW}, the slowest by far: of the first {count // 8} cases.)")
    caught = {}

    def rows():
        for name, (tool, dtypes) in TOOLS.items():
            row = [name]
            for dtype in DTYPES:
                if dtype not in dtypes:
                    row += ["-"] * 3
                    continue
                number = count // 8 if name == SLOW else count
                caught[dtype, name] = power(tool, dtype, number)
                row += [short(np.quantile(errors, 0.95, method="higher")) for errors in caught[dtype, name]]
                row.append(f"{false_alarms(tool, dtype, number) / number:.1%}")
            yield row

    table(["tool", *(f"{dtype}, {what}" for dtype in DTYPES for what in ("tensor", "element", "rejected"))], rows())
    return caught


def controlled(count):
    """The table of negative controls."""
    print(f"\nNegative controls: the share of {count} cases in which gradients that are all wrong are rejected.")

    def rows():
        for name, (tool, dtypes) in TOOLS.items():
            number = count // 8 if name == SLOW else count
            row = [name]
            for dtype in DTYPES:
                caught = controls(tool, dtype, number) if dtype in dtypes else []
                row += [f"{many / number:.1%}" for many in caught] or ["-"] * len(CONTROLS)
            yield row

    table(["tool", *(f"{dtype}, {control}" for dtype in DTYPES for control in CONTROLS)], rows())


def short(error):
    return f"{error:.1e}" if np.isfinite(error) else "none"


def costs(widths):
    print(f"\nMilliseconds of one more case in `check`, batch {cost.BATCH}, float64, and of the other tools.")

    def rows():
        for some in widths:
            ours, both = cost.case_more(some)
            others = [cost.verdict(name, some) for name in cost.COMPARED]
            cells = [f"{ours * 1e3:.3g} ({ours / both:.1f} ×)", *(f"{t * 1e3:.3g} ({t / ours:.1f})" for t in others)]
            yield ["-".join(map(str, some)), f"{both * 1e3:.3g}", *cells]

    table(["network", "autograd and candidate", "gradgate", *cost.COMPARED], rows())
    print("\nA check of 100 cases, the search for the mistake apart.")
    passing, *wrong = cost.failing().items()
    table(
        ["candidate", "milliseconds", "times passing"],
        [[name, f"{time * 1e3:.0f}", f"{time / passing[1]:.1f}"] for name, time in (passing, *wrong)],
    )
    (ours, both), (once, whole) = cost.of_block(), cost.block_peaks()
    print(f"\nA transformer block, 20 cases: {ours * 1e3:.0f} ms each, {ours / both:.1f} × autograd and candidate;")
    print(f"memory {whole / 2**20:.0f} MB, {whole / once:.1f} × one pass of autograd.")


def speeds(networks):
    print("\nnumpy_impl.loss_and_grads beside torch: time, and memory in one call.")

    def rows():
        for sizes in networks:
            for dtype in DTYPES:
                ours, torchs = cost.numpy_beside_torch(sizes, dtype)
                peaks = [cost.peak(kind, sizes, dtype) / 2**20 for kind in ("numpy", "torch")]
                yield [
                    f"{'-'.join(map(str, sizes[:3]))}, batch {sizes[3]}", dtype,
                    f"{ours * 1e6:.0f} µs", f"{torchs * 1e6:.0f} µs", f"{ours / torchs:.2f}",
                    *(f"{size:.0f} MB" for size in peaks),
                ]  # fmt: skip  # a pair a line

    table(["network", "dtype", "NumPy", "torch", "ratio", "NumPy's peak", "torch's peak"], rows())


def starts():
    bare, imported, command = cost.start()
    print(f"\nStart: import torch, hypothesis {bare:.2f} s;")
    print(f"import torch_ref {imported / bare:.2f} ×, gradgate {command / bare:.2f} ×.")


def picture(caught):
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "gradgate"  # the same file for the same figures
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.8), sharey=True, layout="constrained")
    for panel, dtype in zip(panels, DTYPES, strict=True):
        for color, name in enumerate(TOOLS):  # the same in both panels
            if (dtype, name) in caught:
                share = [np.mean(caught[dtype, name][0] <= error) for error in ERRORS]
                panel.plot(ERRORS, share, f"C{color}", label=name, linewidth=3 if name == "gradgate" else 1.3)
        panel.set(xscale="log", title=dtype, xlabel="relative error in one gradient tensor")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("share of cases in which it is caught")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)  # float64 has all tools
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"\n{PICTURE.relative_to(Path.cwd())} is drawn.")


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__.partition(":")[2])
    parser.add_argument("--quick", action="store_true", help="fewer cases, no large network, no picture")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    names = "numpy", "torch", "jax", "autograd", "scipy"
    print(", ".join(f"{name} {version(name)}" for name in names), "- one thread")
    starts()
    speeds(cost.NETWORKS[:3] if quick else cost.NETWORKS)
    costs(cost.WIDTHS[:2] if quick else cost.WIDTHS)
    caught = powers(16 if quick else 1000)
    controlled(16 if quick else 1000)
    if not quick:
        picture(caught)


if __name__ == "__main__":
    main()
