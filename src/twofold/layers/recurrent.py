"""Recurrent layers with bottom-up, top-down and lateral inputs (talk 19:31 to 25:51).

A source is an origin of a layer's input: the layer below (``below``), the layer above (``above``), the layer itself at
the previous iteration (``beside``) or the label (``label``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from twofold.checks import check_arguments
from twofold.checks.bounds import counts, not_negative
from twofold.errors import SettingError
from twofold.layers.connectivity import Connectivity, Full
from twofold.layers.inputs import CachedInput, nonzero_rows, weighted_sum
from twofold.layers.layer import Layer
from twofold.layers.weights import Learnable, Weights
from twofold.learning import Phase, Rule, slope

SourceInput = Tensor | CachedInput
"""The input from one source, ``(rows, inputs)``. If a `CachedInput` has fewer rows than there are cases, the rows are
repeated, as by ``Tensor.repeat``, to match the cases.
"""


class LayerState(NamedTuple):
    """The state of a layer after one iteration, with one row per case.

    Attributes:
        state: damped activity s before normalization, ``(rows, units)``.
        output: normalized state, ``(rows, units)``; the input of other layers at the next iteration.
        active: undamped activity of this iteration, ``(rows, units)``.
        goodness: goodness of ``active``, ``(rows,)``.
    """

    state: Tensor
    output: Tensor
    active: Tensor
    goodness: Tensor

    def repeat(self, copies: int) -> LayerState:
        """Return a state with all rows repeated ``copies`` times, as by ``Tensor.repeat``."""
        return LayerState(*(tensor.repeat(copies, *[1] * (tensor.dim() - 1)) for tensor in self))


def recurrent_step(total: Tensor, before: Tensor | None, damping: float, rule: Rule) -> LayerState:
    """Compute one iteration of a layer: activity a = f(total), new state s ← damping · s + (1 - damping) · a.

    The output is the normalized new state. Source: paper section 2.3 (damping 0.3), talk 24:03.

    Args:
        total: pre-activations, ``(rows, units)``.
        before: old state s, ``(rows, units)``; ``None`` at the first iteration, where the new state is a.
        damping: fraction of the old state that is kept, in [0, 1).
        rule: learning rule that contains the activation function f, the goodness and the normalization.
    """
    active = rule.unit.value(total.clone())  # ``total`` may be a cached tensor, and the activation may work in place
    state = active if before is None else damping * before + (1 - damping) * active
    return LayerState(state, rule.normalize(state), active, rule.goodness.value(active))


class TimeStep(NamedTuple):
    """The inputs and the activity of a layer at one iteration.

    Attributes:
        sources: name of a source -> the input from this source, ``(rows, inputs)``.
        active: undamped activity of the layer, ``(rows, units)``.
        goodness: goodness of ``active``, ``(rows,)``.
    """

    sources: Mapping[str, SourceInput]
    active: Tensor
    goodness: Tensor


class RecurrentLayer(Layer[Sequence[TimeStep]]):
    """A layer with inputs from several sources that is iterated over time and learns from all iterations.

    The pre-activation of the layer is z = Σ over sources of W x, plus b. The gradient does not flow back to earlier
    iterations, so that no backpropagation through time is needed, and only a window of iterations is stored (talk
    19:31; paper section 2.3). Weights start as N(0, 1) / √(inputs of the unit from all sources), biases at 0.

    Args:
        sources: name of a source -> number of inputs from this source. Names are ``below``, ``above``, ``beside``
            (lateral) and ``label``.
        units: number of units.
        rule: learning rule.
        generator: random generator of the initial weights.
        connectivity: name of a source -> connections to this source; fully connected by default.
        start: name of a source -> factor of the initial weights from this source; 1 by default.

    Attributes:
        weights: name of a source -> weights from this source, ``(units, inputs)`` or in the shape in which the
            connectivity stores weights.
        learned: name of a source -> weights from this source, with their learning state.

    Raises:
        SettingError: a connectivity does not fit the layer or the source, or the derivative of the activation function
            requires the pre-activations, which are not stored.
    """

    bias: nn.Parameter

    @check_arguments
    def __init__(
        self,
        sources: Mapping[str, int],
        units: int,
        rule: Rule | None = None,
        generator: torch.Generator | None = None,
        connectivity: Mapping[str, Connectivity] | None = None,
        start: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(units, rule or Rule())
        counts(**sources)
        if not self.rule.unit.of_activity:
            raise SettingError(
                "rule: the activation function (unit) must have a derivative that depends only on the activity in a "
                "recurrent layer: use relu, leaky_relu or tanh"
            )
        not_negative(**{f"start[{name!r}]": size for name, size in (start or {}).items()})
        if not sources:
            raise SettingError(
                "sources is empty, expected at least one source with its number of inputs, such as {'below': 64}"
            )
        self.weights = nn.ParameterDict()
        self.connectivity = {
            name: (connectivity or {}).get(name) or Full(units, inputs) for name, inputs in sources.items()
        }
        scale = torch.stack([layout.fan_in() for layout in self.connectivity.values()]).sum(0).clamp(min=1).rsqrt()
        self.learned: dict[str, Weights] = {}
        for name, layout in self.connectivity.items():
            if (layout.units, layout.inputs) != (units, sources[name]):
                raise SettingError(
                    f"connectivity[{name!r}] has {layout.units} units and {layout.inputs} inputs, expected "
                    f"{units} units and {sources[name]} inputs"
                )
            self.add_module(f"{name}_connectivity", layout)
            weight = layout.draw(scale, generator) * (start or {}).get(name, 1.0)
            self.weights[name] = nn.Parameter(weight, requires_grad=False)
            self.learned[name] = Weights(self.weights, name, weight, layout)
        self.biases = Learnable(self, "bias", torch.zeros(units))
        self._kept: tuple[list[object], list[CachedInput], Tensor] | None = None

    @property
    def bottom_up(self) -> Weights:
        """The weights from the layer below."""
        return self.learned["below"]

    def respond(self, sources: Mapping[str, SourceInput], before: Tensor | None, damping: float) -> LayerState:
        """Compute one iteration.

        Args:
            sources: name of a source -> input from this source, ``(rows, inputs)``; omitted sources contribute nothing.
            before: state of the layer before the iteration, ``(rows, units)``; ``None`` at the first iteration.
            damping: fraction of the old state that is kept, in [0, 1).
        """
        changing = {name: source for name, source in sources.items() if isinstance(source, Tensor)}
        constant = {name: source for name, source in sources.items() if isinstance(source, CachedInput)}
        rows = [tensor.shape[0] for tensor in (*changing.values(), *([] if before is None else [before]))]
        total = self._constant_input(
            constant, rows[0] if rows else max(len(source.rows) for source in constant.values())
        )
        for name, source in changing.items():
            total = self.learned[name].product(source, total)
        return recurrent_step(total, before, damping, self.rule)

    def _constant_input(self, constant: Mapping[str, CachedInput], rows: int) -> Tensor:
        """Return the biases plus the weighted inputs from constant sources, ``(rows, units)``.

        The result is cached until a weight, a bias or a source changes.
        """
        bias = self.bias.to(self.compute or self.bias.dtype)
        learned = [self.learned[name] for name in constant]
        if not all(weights.linear for weights in learned):
            total = bias
            for weights, source in zip(learned, constant.values(), strict=True):
                total = weights.product(source.rows.repeat(rows // len(source.rows), 1), total)
            return total
        if not constant:
            return bias
        values = [self.bias, *(weights.effective() for weights in learned)]
        state = [rows, bias.dtype, *((value.data_ptr(), value._version) for value in values)]
        if self._kept is None or self._kept[0] != state or self._kept[1] != list(constant.values()):
            products = [source.product(weights) for weights, source in zip(learned, constant.values(), strict=True)]
            total = bias + sum(product.repeat(rows // len(product), 1) for product in products)
            self._kept = state, list(constant.values()), total
        return self._kept[2]

    # ---- learning ----------------------------------------------------------------------------------------------

    def learnables(self) -> list[Learnable]:
        return [*self.learned.values(), self.biases]

    @torch.no_grad()
    def gather(self, seen: Sequence[TimeStep], phase: Phase = "both", case_weight: Tensor | None = None) -> Tensor:
        steps, rows = len(seen), len(seen[0].active)
        batch = rows // 2 if phase == "both" else rows
        case_weight, count = self._weight(case_weight, batch)
        positive = case_weight[: 0 if phase == "negative" else batch]
        goodness = torch.stack([step.goodness for step in seen]).view(steps, -1, batch)
        signals, difficulty = self._signals(goodness.transpose(0, 1).flatten(1), phase, case_weight.repeat(steps))
        signal = signals.view(-1, steps, batch).transpose(0, 1).reshape(steps, rows) / (steps * count.cases)
        keep, share = self._shares(phase, steps)

        if len(positive):
            total = _sum_of([step.active for step in seen], positive)
            peers = self._peers(total / steps, count) / (steps * count.cases)
        else:
            peers = torch.zeros_like(self.mean_activity)
        active = [nonzero_rows(row != 0) for row in signal]
        strength = torch.cat([row[kept] for row, kept in zip(signal, active, strict=True)])
        activity = _rows_of([step.active for step in seen], active, rows, peers[None])
        strength = torch.cat([strength, strength.new_zeros(1)])
        wanted = slope(activity, None, self.rule) * strength[:, None].to(activity.dtype)
        wanted = wanted.T.contiguous()  # the layout that the products below need
        wanted[:, -1] = peers
        for name, weights in self.learned.items():
            sources = [step.sources[name] for step in seen]
            weights.gather_product(*_factors(sources, wanted, active, rows, positive), keep, share)
        row_counts = wanted.new_ones(wanted.shape[1])
        row_counts[-1] = steps * positive.sum()
        self.biases.gather(wanted @ row_counts, keep, share)
        return difficulty.view(steps, batch).mean(0)

    def forget(self) -> None:
        super().forget()
        self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for pickling and copying, without the cache."""
        return {**vars(self), "_kept": None}


def _rows_of(tensors: Sequence[Tensor], rows: Sequence[Tensor], cases: int, last: Tensor) -> Tensor:
    """Concatenate the selected rows of several tensors, followed by the row ``last``.

    Args:
        tensors: one tensor per iteration, ``(cases, columns)``. A tensor with fewer rows is repeated to match the
            cases.
        rows: for each tensor, the numbers of the rows to select.
        cases: number of cases.
        last: the last row of the result, ``(1, columns)``.

    Returns:
        The concatenated rows, ``(selected rows + 1, columns)``.
    """
    chosen_rows = [
        tensor if len(active) == cases == len(tensor) else tensor.index_select(0, active % len(tensor))
        for tensor, active in zip(tensors, rows, strict=True)
    ]
    return torch.cat([*chosen_rows, last.to(tensors[0])])


def _sum_of(matrices: Sequence[Tensor], positive: Tensor) -> Tensor:
    """Return the weighted sum of the positive rows of several matrices, ``(columns,)``.

    Args:
        matrices: one matrix per iteration; the positive rows come first.
        positive: weight of each positive row, ``(positive rows,)``.
    """
    return torch.stack([weighted_sum(rows[: len(positive)], positive) for rows in matrices]).sum(0)


def _factors(
    sources: Sequence[SourceInput], wanted: Tensor, rows: Sequence[Tensor], cases: int, positive: Tensor
) -> tuple[Tensor, Tensor]:
    """Return two matrices whose product is the gradient of the weights from a source, summed over iterations.

    The gradient is Σ over active rows of wanted ⊗ row + peers ⊗ the weighted sum of positive rows.

    Args:
        sources: input from the source at each iteration, ``(cases, inputs)``.
        wanted: desired changes of the pre-activations in the active rows of all iterations, followed by the peer term
            as last column, ``(units, active rows + 1)``.
        rows: numbers of the active rows of each iteration.
        cases: number of cases.
        positive: weights of the positive rows, ``(positive rows,)``. In the inputs, the positive rows come first.

    Returns:
        The two matrices, ``(units, n)`` and ``(n, inputs)``, in the dtype of ``wanted``.
    """
    seen = [source.rows if isinstance(source, CachedInput) else source for source in sources]
    total = _sum_of(seen, positive)[None]
    distinct = {id(tensor): tensor for tensor in seen}.values()
    alone, chosen, inputs = sum(len(tensor) for tensor in distinct), wanted.shape[1], total.shape[1]
    if alone * (chosen + inputs) < chosen * inputs:
        return wanted @ _members(seen, rows).to(wanted), torch.cat([*distinct, total]).to(wanted)
    return wanted, _rows_of(seen, rows, cases, total).to(wanted)


def _members(seen: Sequence[Tensor], rows: Sequence[Tensor]) -> Tensor:
    """Return a matrix of ones and zeros that sums the desired changes of equal input rows.

    The input of several iterations may be the same tensor, and a tensor may be repeated to match the cases. Multiplying
    the desired changes by this matrix leaves one column per distinct input row.

    Args:
        seen: input from a source at each iteration.
        rows: numbers of the active rows of each iteration.

    Returns:
        The matrix, ``(active rows + 1, distinct rows + 1)``. The last row and column are for the peer term.
    """
    start: dict[int, int] = {}
    distinct = 0
    for tensor in seen:
        if id(tensor) not in start:
            start[id(tensor)] = distinct
            distinct += len(tensor)
    column = torch.cat([start[id(tensor)] + active % len(tensor) for tensor, active in zip(seen, rows, strict=True)])
    member = torch.zeros(len(column) + 1, distinct + 1, device=column.device)
    member[torch.arange(len(column), device=column.device), column] = 1
    member[-1, -1] = 1
    return member
