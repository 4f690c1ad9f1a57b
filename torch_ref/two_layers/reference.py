"""The reference for `numpy_impl`, and its relatives: Sequential(Linear, activation, Linear, Sigmoid) and a loss."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any, Self, get_args

import torch
from torch import Tensor, nn

from numpy_impl import Parameters
from torch_ref.candidate.stepping import LEARNING_RATE
from torch_ref.cases.case import Array
from torch_ref.precision import Precision
from torch_ref.reference.base import Detector
from torch_ref.reference.evaluation import ModuleReference
from torch_ref.results import Description
from torch_ref.two_layers.cases import TwoLayerCases
from torch_ref.two_layers.detectors import DETECTORS
from torch_ref.two_layers.layouts import ours, theirs
from torch_ref.two_layers.options import OURS, Activation, Layout, Loss, Reduction, Shapes
from torch_ref.two_layers.stages import ACTIVATIONS, LOSSES, Chain


@dataclass(frozen=True, eq=False)
class TwoLayers(ModuleReference):
    """The two-layer network with parameters W1, B1, W2, B2 in the shapes of `numpy_impl`, at the widths of each case.

    activation, of the hidden layer: sigmoid, tanh or relu. loss, of the outputs S2 = σ(G2) and the targets t: bce,
    -t log S2 - (1-t) log(1-S2); mse, (S2 - t)²; or half-mse. reduction: its mean or its sum over batch × out.
    shapes: the batches and widths to draw. name: how reports call it. layout: the shapes of inputs, W1 and B1, as in
    "(in, batch) (in, hidden) (hidden,)"; None for the one that fits the candidate, else that of `numpy_impl`. step:
    whether the candidate is a training step f(inputs, targets, W1, B1, W2, B2, learning_rate), which returns the new
    parameters or changes them in place. nearest: where none fits, the layout in which the most results have their
    shape, for reports.

    A candidate is called as candidate(inputs, targets, W1, B1, W2, B2) and returns (loss, (dW1, dB1, dW2, dB2)).
    Raises ValueError for another word.

    >>> print(TwoLayers(loss="mse", reduction="sum"))
    Sequential(Linear, Sigmoid, Linear, Sigmoid), mse_loss, sum
    """

    activation: Activation = "sigmoid"
    loss: Loss = "bce"
    reduction: Reduction = "mean"
    shapes: Shapes = Shapes()  # noqa: RUF009  # immutable
    name: str = ""
    layout: str | None = None
    step: bool = False
    nearest: str = ""

    def __post_init__(self) -> None:
        self.laid  # noqa: B018  # raises for what is no layout
        for option, choices in (("activation", Activation), ("loss", Loss), ("reduction", Reduction)):
            if (value := getattr(self, option)) not in get_args(choices):
                raise ValueError(f"{option}: {value!r}, expected {' or '.join(map(repr, get_args(choices)))}")

    @cached_property
    def laid(self) -> Layout:
        """The layout of its cases."""
        return OURS if self.layout is None else Layout.of(self.layout)

    @property
    def chain(self) -> Chain:
        """The network stage by stage."""
        return Chain(self.activation, self.loss, self.reduction, self.laid)

    @property
    def options(self) -> dict[str, str]:  # type: ignore[override]  # read-only here
        """The words that a candidate with parameters of these names is given."""
        return {"activation": self.activation, "loss": self.loss, "reduction": self.reduction}

    @property
    def settings(self) -> dict[str, Any]:
        """What a check runs with."""
        return {**super().settings, "layout": str(self.laid)}

    @property
    def detectors(self) -> tuple[Detector, ...]:  # type: ignore[override]  # read-only here
        """The explanations that are tried."""
        return DETECTORS

    @cached_property
    def network(self) -> nn.Sequential:
        """The module, of any width: a case brings its own."""
        return twin(Parameters.from_seed(0, 1, 1, 1), self.activation)

    @cached_property
    def loss_function(self) -> Callable[[Any, Any], Tensor]:
        """The function of torch."""
        return partial(LOSSES[self.loss].function, reduction=self.reduction)

    @cached_property
    def cases(self) -> TwoLayerCases:
        """What draws its cases."""
        return TwoLayerCases(self.shapes, self.activation, self.laid, self.step)

    @property
    def description(self) -> Description:
        """The module with its layers, and the loss."""
        layers = ", ".join(type(layer).__name__ for layer in self.network)
        model, loss = f"Sequential({layers})", LOSSES[self.loss].name
        why = "where torch clamps" if self.loss == "bce" else ""
        return Description(self.name or f"{model}, {loss}, {self.reduction}", model, loss, self._words(), why)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which layout it is, if it is not ours; and if none fits, which may be meant."""
        if self.nearest:
            how = (
                "" if self.nearest == " ".join(OURS) else f"; the most shapes are right with --layout '{self.nearest}'"
            )
            return (f"fits no layout: this is shown for {self.laid}{how}",)
        return () if self.laid == OURS else (f"takes its arrays as {self.laid}",)

    def demand_cases(self, precision: Precision, *, strict: bool) -> None:
        """Raise ValueError where cases are asked for that a training step does not have."""
        if self.step and strict:
            raise ValueError("strict: with step there are no saturated cases, their gradients are too small to show")
        if self.step and precision.largest < LEARNING_RATE:
            end = f"{precision} ends at {precision.largest:g}"
            raise ValueError(f"step: {end}, too soon for a step that shows its gradient; check it in bfloat16")

    def _words(self) -> tuple[str, ...]:
        """The words of the command line that ask for it: those that differ from the defaults."""
        words = ["--reference", self.name] if self.name else []
        if not self.shapes.left("batch"):
            words += ["--max-batch", str(self.shapes.batch[1])]
        if self.name:  # the rest is said in its file
            return tuple(words)
        if self.laid != OURS:
            words += ["--layout", str(self.laid)]
        words += ["--step"] * self.step
        for option in fields(self):
            if option.name in self.options and getattr(self, option.name) != option.default:
                words += [f"--{option.name}", getattr(self, option.name)]
        for width in ("inputs", "hidden", "outputs"):
            if not self.shapes.left(width):
                words += [f"--{width}", "..".join(map(str, getattr(self.shapes, width)))]
        return tuple(words)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Their names among the arguments of a case."""
        return Parameters._fields

    def as_data(self, name: str, tensor: Tensor) -> Tensor:
        """Inputs or targets with the batch first."""
        return ours(name, tensor, self.laid)

    def as_parameter(self, name: str, tensor: Tensor) -> Tensor:
        """An argument in the shape of the parameter, on the same memory: (out, in) or, of a bias, (n,)."""
        return tensor.flatten() if name in ("B1", "B2") else ours(name, tensor, self.laid)

    def as_gradient(self, name: str, gradient: Array) -> Array:
        """The gradient of a parameter in the shape of the argument."""
        return theirs(name, gradient.reshape(len(gradient), -1), self.laid)

    def with_largest_batch(self, largest: int) -> Self:
        """The same reference with batches up to this."""
        batch = min(self.shapes.batch[0], largest), largest
        return replace(self, shapes=replace(self.shapes, batch=batch))

    def named(self, name: str) -> Self:
        """The same reference under this name."""
        return replace(self, name=name)


def twin(parameters: Iterable[Array], activation: str = "sigmoid") -> nn.Sequential:
    """The network of `numpy_impl` in torch, on the memory of the arrays: a step in one is a step in the other.

    Raises ValueError for an array that is read-only.

    >>> parameters = Parameters.from_seed(220132)
    >>> model = twin(parameters)
    >>> parameters.B2[0, 0] = 0.25
    >>> model[2].bias.item()
    0.25
    """
    W1, B1, W2, B2 = parameters
    return nn.Sequential(_linear(W1, B1), ACTIVATIONS[activation].module(), _linear(W2, B2), nn.Sigmoid())


def _linear(W: Array, B: Array) -> nn.Linear:
    if not (W.flags.writeable and B.flags.writeable):
        raise ValueError("parameters: a read-only array, expected writeable ones to share memory with; pass copies")
    width_out, width_in = W.shape
    layer = nn.Linear(width_in, width_out, device="meta")  # without memory, or random numbers, of its own
    layer.weight = nn.Parameter(torch.from_numpy(W))  # (out, in)
    layer.bias = nn.Parameter(torch.from_numpy(B[:, 0]))  # (out,)
    return layer
