"""Layers that see below, above and beside themselves, and learn from every moment of a video (talk 19:31 to 25:51)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.errors import SettingError
from twofold.layers.connectivity import Connectivity, Full
from twofold.layers.inputs import Constant, chosen
from twofold.layers.layer import Learner
from twofold.learning import Narrow, Rule, ask, peers

Source = Tensor | Constant
"""What a layer sees from one side, ``(rows, inputs)``. A ``Constant`` with fewer rows than the net has stands for as
many copies of them, one after the other, as make them up."""


class Settled(NamedTuple):
    """A layer after one iteration, for each of its cases, ``(rows, ...)``.

    Attributes:
        state: damped activity before normalization, ``(rows, units)``.
        above: the same at fixed length: what other layers see at the next iteration, ``(rows, units)``.
        active: activity that this iteration computed, undamped, ``(rows, units)``.
        goodness: of ``active``, ``(rows,)``.
    """

    state: Tensor
    above: Tensor
    active: Tensor
    goodness: Tensor

    def repeat(self, copies: int) -> Settled:
        """As many copies of all cases, one after the other."""
        return Settled(*(part.repeat(copies, *[1] * (part.dim() - 1)) for part in self))


Settle = Callable[[Tensor, Tensor | None, float, Rule], Settled]
"""``settle``, or what computes the same faster."""


def settle(total: Tensor, before: Tensor | None, damping: float, rule: Rule) -> Settled:
    """a = relu(total); s ← damping · s + (1 - damping) · a; what others see is n(s). A pure function.

    Source: paper section 2.3 (0.3 of the old state, 0.7 of the new one), talk 24:03.

    Args:
        total: total inputs, ``(rows, units)``.
        before: the old state s, ``(rows, units)``; ``None`` at the first look, which takes a as it is.
        damping: share of the old state that is kept, in [0, 1).
        rule: its goodness and normalization are used.
    """
    active = total.relu()
    state = active if before is None else damping * before + (1 - damping) * active
    return Settled(state, rule.normalize(state), active, rule.goodness.value(active))


Weigh = Callable[[Tensor, Tensor, Rule], Tensor]
"""``weigh``, or what computes the same faster."""


def weigh(active: Tensor, strength: Tensor, rule: Rule) -> Tensor:
    """How each total input is to change: signal · slope(activity), turned over, since products want it so.

    Args:
        active: ``(rows, units)``.
        strength: the signal of each row, ``(rows,)``.
        rule: its goodness is used.

    Returns:
        ``(units, rows)``, in the type of ``active``.
    """
    return (rule.goodness.slope(active) * strength[:, None].to(active.dtype)).T.contiguous()


class Moment(NamedTuple):
    """What a layer saw at an iteration, and what it made of it. Positive cases come first.

    Attributes:
        sources: by name, from the iteration before.
        active: ``(2 batch, units)``.
        goodness: ``(2 batch,)``.
    """

    sources: Mapping[str, Source]
    active: Tensor
    goodness: Tensor


class RecurrentLayer(Learner):
    """A layer with weights from several sides, which settles over iterations and learns from all of them.

    Its total input is z = Σ over sources of W x + b. The derivative of its state with respect to older states is left
    out, so that learning is greedy in time, in closed form, and remembers no more than a window of iterations
    (talk 19:31; paper section 2.3). Weights start as N(0, 1) / √(all inputs), biases at 0.

    Args:
        sources: name -> number of inputs: ``below``, ``above``, ``beside``.
        units: number of units.
        rule: how the layer learns.
        generator: draws the first weights.
        seen: source -> which of its inputs each unit sees; all where it is not given.

    Attributes:
        weights: source -> its weights, as its connectivity stores them; ``(units, inputs)`` where all is seen.

    Raises:
        SettingError: a connectivity is that of another layer or source.
    """

    def __init__(
        self,
        sources: Mapping[str, int],
        units: int,
        rule: Rule,
        generator: torch.Generator | None = None,
        seen: Mapping[str, Connectivity] | None = None,
    ) -> None:
        super().__init__(units, rule)
        self.settle: Settle = settle
        self.weigh: Weigh = weigh
        self.weights = nn.ParameterDict()
        self.bias = nn.Parameter(torch.zeros(units), requires_grad=False)
        self.register_buffer("bias_velocity", torch.zeros(units), persistent=False)
        self.seen = {name: (seen or {}).get(name) or Full(units, inputs) for name, inputs in sources.items()}
        scale = torch.stack([one.seen() for one in self.seen.values()]).sum(0).clamp(min=1).rsqrt()
        for name, one in self.seen.items():
            if (one.units, one.inputs) != (units, sources[name]):
                raise SettingError(
                    f"a connectivity of {one.units} units with {one.inputs} inputs for a layer of {units} units that "
                    f"sees {sources[name]} {name}: make it for this layer"
                )
            weight = one.draw(scale, generator)
            self.add_module(f"{name}_seen", one)
            self.weights[name] = nn.Parameter(weight, requires_grad=False)
            self.register_buffer(f"{name}_velocity", torch.zeros_like(weight), persistent=False)
        self._narrow = {name: Narrow() for name in sources}
        self._kept: tuple[list[object], list[Constant], Tensor] | None = None
        self._gathered: dict[str, Tensor] = {}
        self._moments = 0

    def weight(self, name: str) -> Tensor:
        """The weights from a source in the type of the products, as they are stored."""
        return self._narrow[name].of(self.weights[name], self.compute)

    def respond(self, sources: Mapping[str, Source], before: Tensor | None, damping: float) -> Settled:
        """One iteration.

        Args:
            sources: what is seen, by name; a source that is not given is not seen.
            before: the layer's state, ``(rows, units)``, or ``None`` at the first look.
            damping: share of it that is kept.
        """
        changing = {name: source for name, source in sources.items() if isinstance(source, Tensor)}
        constant = {name: source for name, source in sources.items() if isinstance(source, Constant)}
        rows = [len(one) for one in (*changing.values(), *([] if before is None else [before]))]
        total = self._drive(constant, rows[0] if rows else max(len(source.rows) for source in constant.values()))
        for name, source in changing.items():
            total = self.seen[name].times(self.weight(name), source, total)
        return self.settle(total, before, damping, self.rule)

    def _drive(self, constant: Mapping[str, Constant], rows: int) -> Tensor:
        """Biases, and the total input from what stays the same: computed once for as long as all stay as they are."""
        bias = self.bias.to(self.compute or self.bias.dtype)
        if not constant:
            return bias
        learned = [self.bias, *(self.weights[name] for name in constant)]
        state = [rows, bias.dtype, *((each.data_ptr(), each._version) for each in learned)]
        if self._kept is None or self._kept[0] != state or self._kept[1] != list(constant.values()):
            products = [source.times(self.weight(name), self.seen[name]) for name, source in constant.items()]
            drive = bias + sum(product.repeat(rows // len(product), 1) for product in products)
            self._kept = state, list(constant.values()), drive
        return self._kept[2]

    # ---- learning ----------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make room for the gradients: before the first frame, so that a long video holds no more than a short one."""
        if not self._gathered:
            kind = self.compute or self.bias.dtype
            self._gathered = {
                name: torch.empty_like(parameter, dtype=kind)
                for name, parameter in (*self.weights.items(), ("bias", self.bias))
            }

    def gather(self, moments: Sequence[Moment], weight: Tensor | None = None) -> Tensor:
        """Take in the weight gradient of some iterations, one matrix product for each source.

        Args:
            moments: the iterations.
            weight: how much each pair of cases counts, ``(batch,)``.

        Returns:
            How much each pair had to teach, on average over the moments, ``(batch,)``.
        """
        count, batch = len(moments), len(moments[0].active) // 2
        goodness = torch.stack([moment.goodness for moment in moments])
        halves = goodness[:, :batch].flatten(), goodness[:, batch:].flatten()
        counts = None if weight is None else weight.repeat(count)
        more, less, need = ask(*halves, self.batches, counts, self.threshold, self.rule)
        signal = torch.cat([more.view(count, batch), less.view(count, batch)], 1) / (count * batch)

        total = _sum_of([moment.active[:batch] for moment in moments]).to(self.mean_activity)
        pull = peers(total / (count * batch), self.mean_activity, self.rule) / (count * batch)
        rows = [chosen(one != 0) for one in signal]
        strength = torch.cat([one[busy] for one, busy in zip(signal, rows, strict=True)])
        wanted = self.weigh(
            _rows_of([moment.active for moment in moments], rows, 2 * batch, pull[None]),
            torch.cat([strength, strength.new_zeros(1)]),
            self.rule,
        )
        wanted[:, -1] = pull
        self.prepare()
        self._moments += count
        share = count / self._moments
        for name in self.weights:
            seen = [moment.sources[name] for moment in moments]
            self.seen[name].gather(self._gathered[name], *_factors(seen, wanted, rows, batch), share)
        counted = wanted.new_ones(wanted.shape[1])
        counted[-1] = count * batch
        self._gathered["bias"].addmv_(wanted, counted, beta=1 - share, alpha=share)
        return need.view(count, batch).mean(0)

    def memory(self) -> tuple[Tensor, Tensor]:
        """What gathering changes apart from the gradient, for ``drop``."""
        return self.mean_activity.clone(), self.batches.clone()

    def drop(self, memory: tuple[Tensor, Tensor]) -> None:
        """Forget what was gathered since ``memory``: the video turned out to be no video."""
        self.mean_activity.copy_(memory[0])
        self.batches.copy_(memory[1])
        self._gathered, self._moments = {}, 0

    def climb(self, rate: float) -> None:
        """One update with the mean gradient of all moments that were gathered since the last one, if there are any."""
        if not self._moments:
            return
        for name, parameter in self.weights.items():
            gradient = self.seen[name].mask(self._gathered[name])
            narrow = self.weight(name)
            self.update(parameter, self.get_buffer(f"{name}_velocity"), gradient, rate, self.rule, narrow)
            self._narrow[name].is_of(parameter)
        self.update(self.bias, self.get_buffer("bias_velocity"), self._gathered["bias"], rate, self.rule, None)
        self._gathered, self._moments = {}, 0

    def forget(self) -> None:
        self._narrow, self._kept = {name: Narrow() for name in self.weights}, None


def _rows_of(each: Sequence[Tensor], rows: Sequence[Tensor], cases: int, last: Tensor) -> Tensor:
    """The chosen rows of each tensor, whose copies make up all cases, and a last row, ``(all chosen + 1, ...)``."""
    chosen_rows = [
        tensor if len(busy) == cases == len(tensor) else tensor.index_select(0, busy % len(tensor))
        for tensor, busy in zip(each, rows, strict=True)
    ]
    return torch.cat([*chosen_rows, last.to(each[0])])


def _sum_of(each: Sequence[Tensor]) -> Tensor:
    """The sum of all rows of some matrices, ``(columns,)``; torch adds them up in a wider type."""
    return torch.stack([rows.sum(0) for rows in each]).sum(0)


def _factors(sources: Sequence[Source], wanted: Tensor, rows: Sequence[Tensor], batch: int) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is the weight gradient from a source, summed over moments: Σ wanted ⊗ row, plus
    pull ⊗ the sum of positive rows.

    Args:
        sources: what was seen at each moment.
        wanted: of the chosen rows of all moments, and in the last column the pull, ``(units, all chosen + 1)``.
        rows: the numbers of the chosen rows of each moment.
        batch: how many positive rows there are; they come first.

    Returns:
        ``(units, some)`` and ``(some, inputs)``, in the type of ``wanted``.
    """
    seen = [source.rows if isinstance(source, Constant) else source for source in sources]
    total = _sum_of([each[:batch] for each in seen])[None]
    distinct = {id(each): each for each in seen}.values()
    alone, chosen, inputs = sum(len(each) for each in distinct), wanted.shape[1], total.shape[1]
    if alone * (chosen + inputs) < chosen * inputs:
        return wanted @ _members(seen, rows).to(wanted), torch.cat([*distinct, total]).to(wanted)
    return wanted, _rows_of(seen, rows, 2 * batch, total).to(wanted)


def _members(seen: Sequence[Tensor], rows: Sequence[Tensor]) -> Tensor:
    """What stays the same for several moments, or under several copies, needs one row in the product: what is wanted
    of it is added up first, as a product with this matrix of ones and zeros, ``(all chosen + 1, distinct + 1)``."""
    start: dict[int, int] = {}
    distinct = 0
    for each in seen:
        if id(each) not in start:
            start[id(each)] = distinct
            distinct += len(each)
    place = torch.cat([start[id(each)] + busy % len(each) for each, busy in zip(seen, rows, strict=True)])
    member = torch.zeros(len(place) + 1, distinct + 1, device=place.device)
    member[torch.arange(len(place), device=place.device), place] = 1
    member[-1, -1] = 1
    return member
