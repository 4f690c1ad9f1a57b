"""A picture shows where a tensor is wrong."""

from tests.comparing import compared, draw
from tests.planted import changed
from torch_ref import TwoLayers
from torch_ref.report.picture import grid_of, picture


def test_a_picture_shows_where_the_tensor_is_wrong():
    def last_row(grad, _):
        grad = grad.copy()
        grad[-1] += 1
        return grad

    comparison = compared(changed(W1=last_row), draw(4, 5, 3, 2, seed=0), TwoLayers())
    assert picture(grid_of(comparison, "W1")) == "dL/dW1\n  .....\n  .....\n  #####"
    assert grid_of(comparison, "W2") is None
    large = compared(changed(W1=last_row), draw(4, 100, 40, 1, seed=0), TwoLayers())
    title, *grid = picture(grid_of(large, "W1")).splitlines()
    assert title == "dL/dW1, 3 × 4 elements a cell"
    assert [line.strip() for line in grid] == 13 * ["." * 25] + ["#" * 25]


def test_a_cell_of_several_elements_has_the_largest_error():
    def one(grad, _):
        grad = grad.copy()
        grad[10, 6] += 1
        return grad

    grid = grid_of(compared(changed(W1=one), draw(4, 100, 40, 1, seed=0), TwoLayers()), "W1")
    assert (grid.down, grid.across, len(grid.errors), len(grid.errors[0])) == (3, 4, 14, 25)
    wrong = {(i, j): error for i, row in enumerate(grid.errors) for j, error in enumerate(row) if error > grid.allowed}
    assert wrong == {(10 // 3, 6 // 4): 1.0}
