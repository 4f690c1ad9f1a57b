"""What the mistake was: from evidence to findings. One file a family of explanations.

A detector is a function (evidence, names still unexplained) -> findings. It says nothing on suspicion: what it says
must give the candidate's own numbers, within what rounding allows, on cases of different sizes.
"""
