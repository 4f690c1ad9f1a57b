"""What every rendering is made from."""

from numpy_impl import loss_and_grads
from torch_ref import Shapes, check
from torch_ref.report.document import command_of


def test_the_command_to_see_it_again_names_every_option_that_matters():
    options = {"cases": 9, "seed": 2, "dtype": "float32", "reduction": "sum", "strict": True}
    report = check(loss_and_grads, name="f.py:f", shapes=Shapes((1, 3), (2, 2), (1, 4), (1, 2)), **options)
    words = (
        "--max-batch 3 --reduction sum --inputs 2..2 --hidden 1..4 --outputs 1..2 --cases 9 --seed 2 --dtype float32"
    )
    assert command_of(report) == f"gradgate f.py:f {words} --strict"
