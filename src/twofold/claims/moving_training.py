"""Videos of moving digits, and the nets that learn from them, for two claims (talk 21:51, 23:29).

Digits move at constant velocity in any direction over a black canvas and bounce at its walls. A recurrent net with
top-down and lateral input sees one frame per iteration, with the label clamped at the top; its goodness is low
activity. Positive data are true motion under the right label. The negative of a pair is one of

* the same video under a wrong label, drawn from the softmax of the first frame's bottom-up pass; it has its own state
  from the first frame on;
* another video under its right label, which at this very frame is reversed, shows another digit, or has jumped. Its
  state is that of the true motion before the frame, and again after it: the net learns from broken frames, but they
  leave no trace in its state.

The net learns from every frame after the second, with an update for each; before that, the velocity cannot be known. In
the second kind of pair, positive and negative are different videos, so that the net learns a level of activity that
holds for all videos.

The twins have the same hidden layers and learn from the same kind of videos, but from fewer, since they learn faster
(full: a third of them, 8,000 updates). One names the digit from a single frame; the other tells from three frames in a
row whether the last one is broken.

The sizes, rate, temperature and label strength were chosen on held-out training images. A larger temperature and a
smaller rate than for still images keep activity from dying out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate

import torch
from torch import Generator, Tensor

from twofold import machine
from twofold.claims.lab import Lab
from twofold.data import Dataset
from twofold.data.moving import Moving, jump, launch, reverse, swap
from twofold.errors import Diverged
from twofold.goodness import minus_sum_of_squares
from twofold.layers.recurrent import LayerState
from twofold.learning import Rule
from twofold.methods import Backpropagation, BackpropRecipe, RecurrentRecipe, RecurrentTraining
from twofold.methods.cases import Cases
from twofold.methods.method import Batch
from twofold.methods.sampler import SampledBatch, Sampler
from twofold.negatives import hard_wrong_labels
from twofold.nets.backprop import Backprop
from twofold.nets.classifier import NetResult
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State
from twofold.objectives import swish_symba
from twofold.recipes.mnist import twin as mnist_twin
from twofold.recipes.recurrent import recurrent
from twofold.training.trainer import Trainer

SEED = 0


@dataclass(frozen=True)
class Film:
    """Settings of the videos and of the training on them.

    Attributes:
        data: name of the data set whose pictures move.
        canvas: height and width of a frame, in pixels.
        speeds: in pixels per frame, all equally likely.
        unseen: speeds that are only tested.
        frames: number of the last frame; frame 0 starts the net.
        watched: number of frames after frame 0 that are seen before learning begins.
        since: the frame at which a tested video breaks.
        widths: units of each hidden layer.
        videos: number of batches of videos that the net learns from.
        twin_videos: number of batches that the twins learn from.
        batch: pairs in a batch.
        shares: shares of the pairs whose negative has a wrong label, is reversed, is swapped, has jumped.
        rate: learning rate, constant for the first half, then linear to zero.
        decay: weight decay, relative to the rate.
        temperature: temperature of the objective, per unit of a layer.
        label_strength: value at the label in the label vector at the top.
        twin_rate: learning rate of the twins.
    """

    data: str
    canvas: tuple[int, int]
    speeds: tuple[float, ...]
    unseen: tuple[float, ...]
    frames: int
    watched: int
    since: int
    widths: tuple[int, ...]
    videos: int
    twin_videos: int
    batch: int
    shares: tuple[float, float, float, float]
    rate: float
    decay: float
    temperature: float
    label_strength: float
    twin_rate: float


SMOKE = Film(
    data="digits",
    canvas=(12, 12),
    speeds=(1.0, 2.0),
    unseen=(1.5,),
    frames=7,
    watched=1,
    since=5,
    widths=(100, 100),
    videos=200,
    twin_videos=100,
    batch=100,
    shares=(0.4, 0.25, 0.2, 0.15),
    rate=0.02,
    decay=0.002,
    temperature=1.0,
    label_strength=15.0,
    twin_rate=0.05,
)

FULL = Film(
    data="mnist",
    canvas=(36, 36),
    speeds=(1.0, 2.0, 3.0),
    unseen=(1.5, 4.0),
    frames=9,
    watched=1,
    since=6,
    widths=(500, 500),
    videos=3000,
    twin_videos=1000,
    batch=100,
    shares=(0.4, 0.25, 0.2, 0.15),
    rate=0.01,
    decay=0.002,
    temperature=1.0,
    label_strength=15.0,
    twin_rate=0.05,
)


# ---- learning ------------------------------------------------------------------------------------------------------


def film_data(lab: Lab) -> Dataset:
    """Return the data set of the pictures that move, on the laboratory's device."""
    return lab.data(lab.pick(smoke=SMOKE, full=FULL).data).to(machine.choose_device(lab.device))


def taught(lab: Lab) -> Recurrent:
    """Return the net trained on the videos: read if it is kept, else trained now."""
    film, dataset = lab.pick(smoke=SMOKE, full=FULL), film_data(lab)
    recipe = replace(recurrent, data=film.data, widths=film.widths, epochs=1, batch=film.batch, rate=film.rate)
    recipe = replace(recipe, seed=SEED)

    def learn(net: Recurrent) -> None:
        Trainer(net, recipe, dataset.train, method=partial(Watching, film=film)).run()

    return lab.train_net(build(film, dataset), "moving", dataset, {**asdict(film), "seed": SEED}, learn)


class Draws(Sampler):
    """Sampler of a given number of batches per epoch, each of cases drawn with replacement."""

    def __init__(self, cases: int, generator: Generator, batches: int) -> None:
        super().__init__(cases, generator)
        self._batches = batches

    def epoch(self, batch: int) -> Iterator[SampledBatch]:
        device = self.difficulty.device
        for number in range(self._batches):
            cases = torch.randint(len(self.difficulty), (batch,), generator=self._generator, device=device)
            yield SampledBatch(number / self._batches, cases, torch.ones(batch, device=device))


class Watching(RecurrentTraining):
    """Training on videos: each step takes a batch of videos, with an update after each frame.

    Raises:
        Diverged: a goodness is no longer a finite number.
    """

    def __init__(self, net: Recurrent, recipe: RecurrentRecipe, data: Cases, *, film: Film) -> None:
        self.film = film
        super().__init__(net, recipe, data)

    def make_sampler(self, cases: int) -> Sampler:
        return Draws(cases, self.generator, self.film.videos)

    def step(self, batch: Batch, progress: float) -> NetResult:
        net, film, labels, generator = self.net, self.film, batch.labels, self.generator
        count, device, factor = len(labels), labels.device, self.set_rate(progress)
        video = launch(batch.images, film.speeds, film.canvas, generator)
        start = net.start(see(net, video.frame(0)))
        logits = net.softmax.learn(net.read_state(start), labels, self.recipe.softmax_rate * factor)

        misnamed, *broken = _shares(film.shares, count, device)
        other = torch.cat([misnamed, torch.cat(broken).roll(1)])  # the index of each negative's video
        wrong = labels[other]
        wrong[misnamed] = hard_wrong_labels(labels[misnamed], logits[misnamed], generator)
        top = net.top(torch.cat([labels, wrong]))
        everyone = torch.arange(count, device=device)
        state = _cases(start, torch.cat([everyone, other]))
        kept = torch.cat([everyone, torch.where(other < len(misnamed), other + count, other)])
        for number in range(1, film.frames + 1):
            true = video.frame(number)
            if number <= film.watched:
                state = net.step(see(net, torch.cat([true, true[other]])), top, state)
                continue
            strange = break_at(number, video, other, broken, generator)
            frame = see(net, torch.cat([true, true[misnamed], strange]))
            found = net.learn_video([frame], top, state, self.rate)
            state = _cases(found.state, kept)
        if not all(part.isfinite().all() for pair in found.goodness for part in pair):
            raise Diverged("a layer's goodness is no longer finite: lower the rate of the film")
        return NetResult(logits, [*found.goodness], torch.ones_like(batch.case_weight))


def build(film: Film, dataset: Dataset) -> Recurrent:
    """Build the untrained net."""
    rule = Rule(
        goodness=minus_sum_of_squares,
        objective=swish_symba,
        temperature=film.temperature * film.widths[0],
        decay=film.decay,
        tolerance=0.3,
    )
    return Recurrent(
        film.canvas[0] * film.canvas[1],
        film.widths,
        dataset.classes,
        rule,
        lateral=True,
        label_strength=film.label_strength,
        generator=torch.Generator().manual_seed(SEED),
    )


def break_at(number: int, video: Moving, other: Tensor, broken: list[Tensor], generator: Generator) -> Tensor:
    """Return a frame of videos that break at this very frame: some are reversed, some swapped, some have jumped.

    Args:
        number: number of the frame.
        video: the unbroken videos.
        other: index of the video that breaks in each pair, ``(batch,)``.
        broken: the pairs that are reversed, swapped and jumped, in this order.
        generator: on the device of the videos.

    Returns:
        Frames ``(broken pairs, 1, height, width)``.
    """
    back, swapped, away = (video.of(other[pairs]) for pairs in broken)
    strangers = video.images[broken[1]]
    each = reverse(back, number), swap(swapped, number, strangers), jump(away, number, generator)
    return torch.cat([one.frame(number) for one in each])


def _shares(shares: Sequence[float], batch: int, device: torch.device) -> list[Tensor]:
    """Divide the cases of a batch by the given shares."""
    ends = [round(batch * end / sum(shares)) for end in accumulate(shares)]
    return list(torch.arange(batch, device=device).tensor_split(ends[:-1]))


def see(net: Recurrent, frame: Tensor) -> Tensor:
    """Turn a frame ``(batch, 1, height, width)`` into the input of the net's first layer, ``(batch, inputs)``."""
    return net.images(frame).rows


def _cases(state: State, cases: Tensor) -> State:
    return tuple(LayerState(*(part[cases] for part in layer)) for layer in state)


# ---- the twins -----------------------------------------------------------------------------------------------------


def twins(lab: Lab) -> tuple[Backprop, Backprop]:
    """Return a net that names the digit from one frame, and one that tells from three whether the last is broken."""
    film, dataset = lab.pick(smoke=SMOKE, full=FULL), film_data(lab)
    pixels = film.canvas[0] * film.canvas[1]
    recipe = replace(mnist_twin, data=film.data, widths=film.widths, epochs=1, batch=film.batch, rate=film.twin_rate)

    def learn(net: Backprop, way: type[TwinWatching]) -> None:
        Trainer(net, recipe, dataset.train, method=partial(way, film=film)).run()

    settings = {**asdict(film), "twin": recipe.fields()}
    seeded = [torch.Generator().manual_seed(SEED) for _ in range(2)]
    namer = Backprop(pixels, film.widths, dataset.classes, seeded[0])
    judging = Backprop(3 * pixels, film.widths, 2, seeded[1])
    return (
        lab.train_net(namer, "moving-twin-names", dataset, settings, partial(learn, way=Naming)),
        lab.train_net(judging, "moving-twin-judges", dataset, settings, partial(learn, way=Judging)),
    )


class TwinWatching(Backpropagation):
    """Training of a twin on videos: each step takes a batch of videos, with an update after each frame."""

    def __init__(self, net: Backprop, recipe: BackpropRecipe, data: Cases, *, film: Film) -> None:
        self.film = film
        super().__init__(net, recipe, data)

    def make_sampler(self, cases: int) -> Sampler:
        return Draws(cases, self.generator, self.film.twin_videos)

    @abstractmethod
    def frames(self, video: Moving, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the input of the net and the correct answer, frame after frame."""

    def step(self, batch: Batch, progress: float) -> NetResult:
        video = launch(batch.images, self.film.speeds, self.film.canvas, self.generator)
        for seen, answer in self.frames(video, batch.labels):
            copies = len(answer) // len(batch.cases)
            cases, weight = batch.cases.repeat(copies), batch.case_weight.repeat(copies)
            result = super().step(Batch(seen, answer, cases, weight), progress)
        return result._replace(difficulty=torch.ones_like(batch.case_weight))


class Naming(TwinWatching):
    """Training to name the digit from one frame."""

    def frames(self, video: Moving, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for frame in video.frames(self.film.watched + 1, self.film.frames):
            yield frame, labels


class Judging(TwinWatching):
    """Training to tell from three frames in a row whether the last one is broken."""

    def frames(self, video: Moving, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        film, batch, device = self.film, len(labels), labels.device
        answer = (torch.arange(2 * batch, device=device) >= batch).long()
        broken = _shares(film.shares[1:], batch, device)
        other = torch.arange(batch, device=device).roll(1)
        for number in range(film.watched + 1, film.frames + 1):
            past = torch.cat([video.frame(number - 2), video.frame(number - 1)], 1)
            now = torch.cat([video.frame(number), break_at(number, video, other, broken, self.generator)])
            yield torch.cat([torch.cat([past, past[other]]), now], 1), answer
