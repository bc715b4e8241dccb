"""Layers that see below, above and beside themselves, and learn from every iteration (talk 19:31 to 25:51)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from twofold.checks import looking, typed
from twofold.checks.bounds import counts, floating, not_negative, share
from twofold.errors import DataError, SettingError
from twofold.layers.connectivity import Connectivity, Full
from twofold.layers.inputs import CachedInput, nonzero_rows, weighted_sum
from twofold.layers.layer import Layer
from twofold.layers.weights import Learnable, Weights
from twofold.learning import Phase, Rule, slope

Source = Tensor | CachedInput
"""The input from one side, ``(rows, inputs)``. A `CachedInput` with fewer rows than the net has cases stands for as
many copies of them, one after the other, as make up all cases."""


class LayerState(NamedTuple):
    """A layer after one iteration, for each of its cases, ``(rows, ...)``.

    Attributes:
        state: damped activity before normalization, ``(rows, units)``.
        output: the same at fixed length: what other layers see at the next iteration, ``(rows, units)``.
        active: activity that this iteration computed, undamped, ``(rows, units)``.
        goodness: of ``active``, ``(rows,)``.
    """

    state: Tensor
    output: Tensor
    active: Tensor
    goodness: Tensor

    def repeat(self, copies: int) -> LayerState:
        """Repeat all cases ``copies`` times, one copy after the other."""
        return LayerState(*(part.repeat(copies, *[1] * (part.dim() - 1)) for part in self))


def recurrent_step(total: Tensor, before: Tensor | None, damping: float, rule: Rule) -> LayerState:
    """a = unit(total); s ← damping · s + (1 - damping) · a; what others see is n(s). A pure function.

    Source: paper section 2.3 (0.3 of the old state, 0.7 of the new one), talk 24:03.

    Args:
        total: total inputs, ``(rows, units)``.
        before: the old state s, ``(rows, units)``; ``None`` at the first iteration, where s is a.
        damping: share of the old state that is kept, in [0, 1).
        rule: its unit, goodness and normalization are used.
    """
    active = rule.unit.value(total.clone())  # what a layer sees all the time is kept
    state = active if before is None else damping * before + (1 - damping) * active
    return LayerState(state, rule.normalize(state), active, rule.goodness.value(active))


class TimeStep(NamedTuple):
    """The inputs of a layer at one iteration, and its response.

    Attributes:
        sources: by name, from the iteration before.
        active: ``(rows, units)``.
        goodness: ``(rows,)``.
    """

    sources: Mapping[str, Source]
    active: Tensor
    goodness: Tensor


class RecurrentLayer(Layer[Sequence[TimeStep]]):
    """A layer with weights from several sides, which settles over iterations and learns from all of them.

    Its total input is z = Σ over sources of W x + b. The derivative of its state with respect to older states is left
    out, so that learning is greedy in time, in closed form, and remembers no more than a window of iterations
    (talk 19:31; paper section 2.3). Weights start as N(0, 1) / √(all inputs), biases at 0.

    Args:
        sources: name -> number of inputs: ``below``, ``above``, ``beside``.
        units: number of units.
        rule: how the layer learns.
        generator: draws the first weights.
        connectivity: source -> which of its inputs each unit sees; all where it is not given.
        start: source -> size of its first weights relative to the above; 1 where it is not given.

    Attributes:
        weights: source -> its weights, as its connectivity stores them; ``(units, inputs)`` where all is seen.
        learned: source -> the same with all that learning needs.

    Raises:
        SettingError: a connectivity is that of another layer or source, or the slope of the rule's unit is not one of
            its activity: total inputs are not kept.
    """

    bias: nn.Parameter

    @typed
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
                "rule: its unit has a slope of the total input, which a recurrent layer does not keep: use relu, "
                "leaky_relu or tanh"
            )
        not_negative(**{f"start[{name!r}]": size for name, size in (start or {}).items()})
        if not sources:
            raise SettingError(
                "sources is empty, expected at least one: a layer has to see something, as {'below': 64}"
            )
        self.weights = nn.ParameterDict()
        self.connectivity = {
            name: (connectivity or {}).get(name) or Full(units, inputs) for name, inputs in sources.items()
        }
        scale = torch.stack([one.fan_in() for one in self.connectivity.values()]).sum(0).clamp(min=1).rsqrt()
        self.learned: dict[str, Weights] = {}
        for name, one in self.connectivity.items():
            if (one.units, one.inputs) != (units, sources[name]):
                raise SettingError(
                    f"a connectivity of {one.units} units with {one.inputs} inputs for a layer of {units} units that "
                    f"sees {sources[name]} {name}: make it for this layer"
                )
            self.add_module(f"{name}_connectivity", one)
            weight = one.draw(scale, generator) * (start or {}).get(name, 1.0)
            self.weights[name] = nn.Parameter(weight, requires_grad=False)
            self.learned[name] = Weights(self.weights, name, weight, one)
        self.biases = Learnable(self, "bias", torch.zeros(units))
        self._kept: tuple[list[object], list[CachedInput], Tensor] | None = None

    @property
    def bottom_up(self) -> Weights:
        """The weights to the layer below."""
        return self.learned["below"]

    @typed
    def respond(self, sources: Mapping[str, Source], before: Tensor | None, damping: float) -> LayerState:
        """One iteration.

        Args:
            sources: what is seen, by name; a source that is not given is not seen.
            before: the layer's state, ``(rows, units)``, or ``None`` at the first iteration.
            damping: share of it that is kept.
        """
        self._check(sources, before, damping)
        changing = {name: source for name, source in sources.items() if isinstance(source, Tensor)}
        constant = {name: source for name, source in sources.items() if isinstance(source, CachedInput)}
        rows = [one.shape[0] for one in (*changing.values(), *([] if before is None else [before]))]
        total = self._constant_input(constant, rows[0] if rows else max(len(each.rows) for each in constant.values()))
        for name, source in changing.items():
            total = self.learned[name].product(source, total)
        return recurrent_step(total, before, damping, self.rule)

    def _check(self, sources: Mapping[str, Source], before: Tensor | None, damping: float) -> None:
        """Refuse sources and a state that do not fit the layer, or each other."""
        if not looking():
            return
        share(damping=damping)
        on = self.bias.device
        if not sources and before is None:
            raise DataError(
                "sources is empty and there is no state before, expected one of them: how many cases are there?"
            )
        rows: int | str = "rows"
        if before is not None:
            floating("before", before, rows, self.units, on=on)
            rows = len(before)
        for name, source in sources.items():
            if name not in self.connectivity:
                raise SettingError(f"sources has {name!r}, but the layer sees {', '.join(self.connectivity)}")
            seen, one = (source.rows, "rows") if isinstance(source, CachedInput) else (source, rows)
            floating(f"sources[{name!r}]", seen, one, self.connectivity[name].inputs, on=on)
            rows = rows if isinstance(source, CachedInput) else len(seen)

    def _constant_input(self, constant: Mapping[str, CachedInput], rows: int) -> Tensor:
        """Biases, and the total input from what stays the same: computed once for as long as all of it does."""
        bias = self.bias.to(self.compute or self.bias.dtype)
        learned = [self.learned[name] for name in constant]
        if not all(each.shares_products for each in learned):
            total = bias
            for each, source in zip(learned, constant.values(), strict=True):
                total = each.product(source.rows.repeat(rows // len(source.rows), 1), total)
            return total
        if not constant:
            return bias
        values = [self.bias, *(each.in_use() for each in learned)]
        state = [rows, bias.dtype, *((each.data_ptr(), each._version) for each in values)]
        if self._kept is None or self._kept[0] != state or self._kept[1] != list(constant.values()):
            products = [source.product(each) for each, source in zip(learned, constant.values(), strict=True)]
            total = bias + sum(product.repeat(rows // len(product), 1) for product in products)
            self._kept = state, list(constant.values()), total
        return self._kept[2]

    # ---- learning ----------------------------------------------------------------------------------------------

    def learnables(self) -> list[Learnable]:
        return [*self.learned.values(), self.biases]

    @typed
    @torch.no_grad()
    def gather(self, seen: Sequence[TimeStep], phase: Phase = "both", weight: Tensor | None = None) -> Tensor:
        steps, rows = len(seen), len(seen[0].active)
        batch = rows // 2 if phase == "both" else rows
        weight, count = self._weight(weight, batch)
        positive = weight[: 0 if phase == "negative" else batch]
        goodness = torch.stack([step.goodness for step in seen]).view(steps, -1, batch)
        signals, difficulty = self._signals(goodness.transpose(0, 1).flatten(1), phase, weight.repeat(steps))
        signal = signals.view(-1, steps, batch).transpose(0, 1).reshape(steps, rows) / (steps * count.cases)
        keep, share = self._shares(phase, steps)

        if len(positive):
            total = _sum_of([step.active for step in seen], positive)
            peers = self._peers(total / steps, count) / (steps * count.cases)
        else:
            peers = torch.zeros_like(self.mean_activity)
        active = [nonzero_rows(one != 0) for one in signal]
        strength = torch.cat([one[kept] for one, kept in zip(signal, active, strict=True)])
        shown = _rows_of([step.active for step in seen], active, rows, peers[None])
        strength = torch.cat([strength, strength.new_zeros(1)])
        wanted = slope(shown, None, self.rule) * strength[:, None].to(shown.dtype)
        wanted = wanted.T.contiguous()  # transposed, as the products need it
        wanted[:, -1] = peers
        for name, weights in self.learned.items():
            sources = [step.sources[name] for step in seen]
            weights.gather_product(*_factors(sources, wanted, active, rows, positive), keep, share)
        times = wanted.new_ones(wanted.shape[1])
        times[-1] = steps * positive.sum()
        self.biases.gather(wanted @ times, keep, share)
        return difficulty.view(steps, batch).mean(0)

    def forget(self) -> None:
        super().forget()
        self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        """All but the images that it saw last."""
        return {**vars(self), "_kept": None}


def _rows_of(each: Sequence[Tensor], rows: Sequence[Tensor], cases: int, last: Tensor) -> Tensor:
    """The active rows of each tensor, whose copies make up all cases, and a last row, ``(all active + 1, ...)``."""
    chosen_rows = [
        tensor if len(active) == cases == len(tensor) else tensor.index_select(0, active % len(tensor))
        for tensor, active in zip(each, rows, strict=True)
    ]
    return torch.cat([*chosen_rows, last.to(each[0])])


def _sum_of(each: Sequence[Tensor], positive: Tensor) -> Tensor:
    """The sum of the positive rows of some matrices, which count ``positive``, ``(columns,)``, in at least float32."""
    return torch.stack([weighted_sum(rows[: len(positive)], positive) for rows in each]).sum(0)


def _factors(
    sources: Sequence[Source], wanted: Tensor, rows: Sequence[Tensor], cases: int, positive: Tensor
) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is the weight gradient from a source, summed over iterations: Σ wanted ⊗ row, plus
    peers ⊗ the sum of positive rows, each times how much it counts.

    Args:
        sources: what was seen at each iteration.
        wanted: of the active rows of all iterations, and in the last column that of the peers, ``(units, all + 1)``.
        rows: the numbers of the active rows of each iteration.
        cases: how many rows there are.
        positive: how much each of the positive ones counts, ``(positive rows,)``; they come first.

    Returns:
        ``(units, some)`` and ``(some, inputs)``, in the type of ``wanted``.
    """
    seen = [source.rows if isinstance(source, CachedInput) else source for source in sources]
    total = _sum_of(seen, positive)[None]
    distinct = {id(each): each for each in seen}.values()
    alone, chosen, inputs = sum(len(each) for each in distinct), wanted.shape[1], total.shape[1]
    if alone * (chosen + inputs) < chosen * inputs:
        return wanted @ _members(seen, rows).to(wanted), torch.cat([*distinct, total]).to(wanted)
    return wanted, _rows_of(seen, rows, cases, total).to(wanted)


def _members(seen: Sequence[Tensor], rows: Sequence[Tensor]) -> Tensor:
    """A matrix of ones and zeros, ``(all active + 1, distinct + 1)``, which adds up what is wanted of rows that are the
    same at several iterations or in several copies, so that each needs one row in the product."""
    start: dict[int, int] = {}
    distinct = 0
    for each in seen:
        if id(each) not in start:
            start[id(each)] = distinct
            distinct += len(each)
    place = torch.cat([start[id(each)] + active % len(each) for each, active in zip(seen, rows, strict=True)])
    member = torch.zeros(len(place) + 1, distinct + 1, device=place.device)
    member[torch.arange(len(place), device=place.device), place] = 1
    member[-1, -1] = 1
    return member
