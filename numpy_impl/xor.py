"""The article's experiment: its data, its settings, and the figures it printed for its two seeds.

Source: "Numpy 딥러닝 15. 다층 퍼셉트론(MLP) 등장 - 1. XOR 문제 해결(실습)", Majestyblue's blog, 2022-01-19.
"""

from typing import NamedTuple

import numpy as np

INPUTS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)  # (batch, in)
TARGETS = np.array([[0], [1], [1], [0]], np.float32)  # (batch, out)
INPUTS.flags.writeable = TARGETS.flags.writeable = False

LEARNING_RATE = 0.1
STEPS = 2000


class Printed(NamedTuple):
    """What the article shows of one run. Losses are summed over the four rows, whatever its listing says."""

    seed: int
    loss_before: float
    predictions_before: tuple[float, ...]  # in the order of INPUTS
    loss_after: float
    predictions_after: tuple[float, ...]  # in the order of `rows`
    rows: tuple[int, ...]  # rows of INPUTS that predictions_after belong to, found by running it
    verdict: str


PRINTED = (
    Printed(
        seed=220132,
        loss_before=3.7652599788184817,
        predictions_before=(0.20601854, 0.15406817, 0.22655651, 0.16426513),
        loss_after=0.1890544867782224,
        predictions_after=(0.03651696, 0.94875326, 0.94477372, 0.04154988),
        rows=(3, 2, 1, 0),
        verdict="success",
    ),
    Printed(
        seed=220118,
        loss_before=3.1306852854640237,
        predictions_before=(0.39046107, 0.25117422, 0.39236246, 0.27272831),
        loss_after=0.1501209263458848,
        predictions_after=(0.02898241, 0.95838905, 0.03315866, 0.95648718),
        rows=(3, 2, 0, 1),
        verdict="failure",
    ),
)
