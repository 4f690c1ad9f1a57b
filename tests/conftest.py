"""Hypothesis profiles, and one thread for torch: two only fight over arrays this small."""

import os

import torch
from hypothesis import settings

settings.register_profile("dev", deadline=None, database=None)
settings.register_profile("ci", deadline=None, database=None, derandomize=True)
# Under CI Hypothesis derandomizes by itself, and a profile inherits that: a random run has to say so.
settings.register_profile("nightly", deadline=None, database=None, derandomize=False, max_examples=5000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")  # --hypothesis-profile=nightly comes after this

torch.set_num_threads(1)
