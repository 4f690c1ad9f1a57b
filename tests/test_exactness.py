"""A replay never turns an integer held in a float into another: asked of every operator of torch that can be asked."""

from itertools import product

import pytest
import torch

from torch_ref.any_order import SumsInAnyOrder
from torch_ref.perturbation import DifferentRounding, tensors

aten = torch.ops.aten
LABELS = torch.tensor([[3.0, 1, 2, 0], [1, 3, 3, 2], [5, 4, 1, 2], [7, 1, 6, 3]], dtype=torch.float64)
SHAPES = LABELS, LABELS[0], LABELS.reshape(1, 1, 4, 4)
OTHERS = None, torch.tensor(2.0, dtype=torch.float64), torch.tensor([0, 1, 1, 0])  # None: labels too
VALUES = {"int": 1, "bool": False, "number": 2, "float": 1.0}
# Private, random in what they return, for other hardware, or without a check of what they are given: they crash.
NOT_ASKED = (
    "_",
    "empty",
    "new_empty",
    "mkldnn",
    "miopen",
    "cudnn",
    "fbgemm",
    "quantize",
    "q_",
    "sym_",
    "native_",
    "chalf",
)
# They have a jump at an integer that is no rounding: the end of a clamp or a domain, a rank, equal elements, bits.
JUMPS = {
    "acosh", "arccosh",
    "binary_cross_entropy_backward", "hardsigmoid_backward", "hardswish_backward", "linalg_pinv", "unique_consecutive",
    "view_copy",
}  # fmt: skip  # in two lines


def overloads():
    """Every operator that is no view, writes nothing and draws no random numbers."""
    for name in sorted(torch._C._dispatch_get_all_op_names()):
        space, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        if space == "aten" and not packet.startswith(NOT_ASKED) and packet not in JUMPS and "out" not in overload:
            func = getattr(getattr(aten, packet), overload or "default")
            random = torch.Tag.nondeterministic_seeded in func.tags
            if not (func._schema.is_mutable or func.is_view or random):
                yield func


def argument(kind, tensor, mode):
    """One of the kind that a schema names, or raises KeyError."""
    if kind == "Tensor":
        return tensor
    if kind in ("List[Tensor]", "List[Optional[Tensor]]"):
        return [LABELS, LABELS]
    if "str" in kind:
        return mode
    if kind.startswith("Optional"):
        return None
    return [1, 1] if kind.startswith("List") else VALUES[kind]


def calls(func):
    """Arguments that it may take: the first tensor has labels, the others labels, 2 or indices."""
    needed = [asked for asked in func._schema.arguments if not asked.has_default_value() or "str" in str(asked.type)]
    kinds = [str(asked.type) for asked in needed]
    others = OTHERS if sum("Tensor" in kind for kind in kinds) > 1 else (None,)
    modes = ("floor", "trunc", "left") if any("str" in kind for kind in kinds) else (None,)
    for labels, other, mode in product(SHAPES, others, modes):
        args, kwargs = [], {}
        for kind, asked in zip(kinds, needed, strict=True):
            value = argument(kind, labels if other is None or not tensors(args) else other, mode)
            if asked.kwarg_only:
                kwargs[asked.name] = value
            else:
                args.append(value)
        yield args, kwargs


def works(func):
    """The calls that work, with what comes out."""
    try:
        for args, kwargs in calls(func):
            try:
                right = tensors(func(*args, **kwargs))
            except Exception:  # noqa: BLE001, S112  # arguments that it does not take
                continue
            yield args, kwargs, right
    except KeyError:  # an argument of another kind: a device, a generator
        return


def times_one(value):
    """Labels that have been computed: in a replay, a few units off."""
    if isinstance(value, list):
        return [times_one(item) for item in value]
    return value * 1.0 if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() else value


def same(right, replayed):
    """Integers are; all else within 1e-6, where a step would be much more. Poles aside."""
    if right.shape != replayed.shape or right.dtype != replayed.dtype:
        return False
    right, replayed = right.to_dense(), replayed.to_dense()
    finite = torch.isfinite(right)
    slack = 1e-6 if right.is_floating_point() or right.is_complex() else 0
    return torch.allclose(replayed[finite], right[finite], rtol=slack, atol=slack)


@pytest.mark.filterwarnings("ignore")
def test_no_operator_turns_integers_into_others():
    wrong, asked = set(), set()
    for func in overloads():
        for args, kwargs, right in works(func):
            asked.add(func)
            for mode, seed in product((DifferentRounding, SumsInAnyOrder), range(2)):
                with mode(seed):
                    replayed = tensors(func(*map(times_one, args), **kwargs))
                if not all(map(same, right, replayed)):
                    wrong.add((func, mode))
    assert not wrong
    assert len(asked) > 500
    names = {func.overloadpacket.__name__ for func in asked}
    assert names >= {"floor_divide", "floor", "round", "isin", "bucketize", "searchsorted", "argmax", "histc", "sort"}
    assert names >= {"topk", "remainder"}
