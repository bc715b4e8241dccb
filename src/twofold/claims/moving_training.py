"""Films of moving digits, and the nets that learn from them, for two claims (talk 21:51, 23:29).

Digits move at constant velocity in any direction over a black canvas and bounce at its walls. A recurrent net with
top-down and lateral input sees one frame an iteration, the label clamped at the top; low activity is wanted of positive
data. Positive data are true motion under the right label. A pair's negative is one of

* the same video under a wrong label, drawn from the softmax of the first frame's bottom-up pass; it has a state of its
  own from the first frame on;
* another video under its right label, which at this very frame is reversed, or shows another digit, or has jumped. Its
  state is that of the true motion until then, and is so again afterwards: broken frames are learned from, but never
  remembered.

The net learns from every frame after the second, with an update each; before, the velocity cannot be known. In the
second kind positive and negative are different videos, so that a level is learned which holds for all videos.

The twins have the same hidden layers and learn from the same kind of videos, but from fewer, since they learn faster
(full: a third of them, 8,000 updates). One names the digit from a single frame; the other tells from three frames in a
row whether the last one is broken.

Chosen on training images that were held out: the sizes, rate, temperature and label strength. A larger temperature and
a smaller rate than for still images keep activity from dying out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate

import torch
from torch import Generator, Tensor

from twofold import machine
from twofold.claims.lab import Lab
from twofold.data import Dataset
from twofold.data.moving import Moving, jump, launch, reverse, swap
from twofold.errors import Diverged
from twofold.goodness import minus_sum_of_squares
from twofold.layers.recurrent import Settled
from twofold.learning import Rule, half_constant_half_linear
from twofold.methods.method import Backpropagation
from twofold.methods.recipe import BackpropRecipe
from twofold.negatives import hard_wrong_labels
from twofold.nets.backprop import Backprop
from twofold.nets.recurrent import Recurrent, State
from twofold.objectives import swish_symba
from twofold.training import compiled as fused

SEED = 0


@dataclass(frozen=True)
class Film:
    """What the videos are, and how a net learns from them.

    Attributes:
        data: name of the data set whose pictures move.
        canvas: height and width of a frame, in pixels.
        speeds: in pixels a frame, each as likely as the others.
        unseen: speeds that are only tested.
        frames: number of the last frame, from 0, which is the one that starts the net.
        watched: frames, without that one, that are not learned from.
        since: the frame at which a tested video breaks.
        widths: units of each hidden layer.
        videos: batches of videos that the net learns from.
        twin_videos: the same for the twins.
        batch: pairs in each.
        shares: of the pairs, whose negative has a wrong label, is reversed, swapped, jumped.
        rate: learning rate, constant for the first half, then linear to zero.
        decay: weight decay, relative to the rate.
        temperature: of the objective, for each unit of a layer.
        label_strength: the number at the label's place at the top.
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
    """The pictures that move, on the laboratory's device."""
    return lab.data(lab.pick(smoke=SMOKE, full=FULL).data).to(machine.choose_device(lab.device))


def taught(lab: Lab) -> Recurrent:
    """The net that has watched the films: read where it is kept, else trained."""
    film, dataset = lab.pick(smoke=SMOKE, full=FULL), film_data(lab)

    def learn(net: Recurrent) -> None:
        generator = _ready(net, film)
        for images, labels, progress in batches(film.videos, film, dataset, generator):
            watch_and_learn(net, film, images, labels, half_constant_half_linear(progress), generator)

    return lab.teach(build(film, dataset), "moving", dataset, {**asdict(film), "seed": SEED}, learn)


def batches(videos: int, film: Film, dataset: Dataset, generator: Generator) -> Iterator[tuple[Tensor, Tensor, float]]:
    """The pictures and labels of each batch of training videos, and the share of the training that is done."""
    for number in range(videos):
        chosen = torch.randint(len(dataset.train_labels), (film.batch,), generator=generator, device=generator.device)
        yield dataset.train_images[chosen], dataset.train_labels[chosen], number / videos


def build(film: Film, dataset: Dataset) -> Recurrent:
    """The net before it has learned."""
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


@torch.no_grad()
def watch_and_learn(
    net: Recurrent, film: Film, images: Tensor, labels: Tensor, factor: float, generator: Generator
) -> None:
    """One batch of videos, an update after each frame.

    Args:
        net: learns.
        film: the settings.
        images: the pictures that move, ``(batch, 1, height, width)``.
        labels: theirs, ``(batch,)``.
        factor: of the learning rates.
        generator: on the net's device.

    Raises:
        Diverged: a goodness is not a finite number any more.
    """
    batch = len(labels)
    video = launch(images, film.speeds, film.canvas, generator)
    start = net.start(see(net, video.frame(0)))
    logits = net.softmax.learn(net.features(start), labels, 0.1 * factor, torch.ones(batch, device=labels.device))

    misnamed, *broken = _shares(film.shares, batch, labels.device)
    other = torch.cat([misnamed, torch.cat(broken).roll(1)])  # whose video each negative is
    wrong = labels[other]
    wrong[misnamed] = hard_wrong_labels(labels[misnamed], logits[misnamed], generator)
    top = net.top(torch.cat([labels, wrong]))
    everyone = torch.arange(batch, device=labels.device)
    state = _cases(start, torch.cat([everyone, other]))
    kept = torch.cat([everyone, torch.where(other < len(misnamed), other + batch, other)])
    for number in range(1, film.frames + 1):
        true = video.frame(number)
        if number <= film.watched:
            state = net.step(see(net, torch.cat([true, true[other]])), top, state)
            continue
        strange = break_at(number, video, other, broken, generator)
        lesson = net.learn([see(net, torch.cat([true, true[misnamed], strange]))], top, state, film.rate * factor)
        state = _cases(lesson.state, kept)
    if not all(part.isfinite().all() for pair in lesson.goodness for part in pair):
        raise Diverged("a layer's goodness is not a finite number any more: lower the rate of the film")


def break_at(number: int, video: Moving, other: Tensor, broken: list[Tensor], generator: Generator) -> Tensor:
    """What is seen of videos that break at this very frame: some reversed, some swapped, some jumped.

    Args:
        number: of the frame.
        video: the unbroken videos.
        other: whose video is broken in each pair, ``(batch,)``.
        broken: the pairs that are reversed, swapped, jumped.
        generator: on the device of the videos.

    Returns:
        Frames ``(broken pairs, 1, height, width)``.
    """
    back, swapped, away = (video.of(other[pairs]) for pairs in broken)
    strangers = video.images[broken[1]]
    each = reverse(back, number), swap(swapped, number, strangers), jump(away, number, generator)
    return torch.cat([one.frame(number) for one in each])


def _shares(shares: Sequence[float], batch: int, device: torch.device) -> list[Tensor]:
    """The cases of a batch, dealt out by shares."""
    ends = [round(batch * end / sum(shares)) for end in accumulate(shares)]
    return list(torch.arange(batch, device=device).tensor_split(ends[:-1]))


def see(net: Recurrent, frame: Tensor) -> Tensor:
    """A frame ``(batch, 1, height, width)`` as the net's first layer gets it, ``(batch, inputs)``."""
    return net.images(frame).rows


def _cases(state: State, cases: Tensor) -> State:
    return tuple(Settled(*(part[cases] for part in layer)) for layer in state)


def _ready(net: torch.nn.Module, film: Film) -> Generator:
    """Compiles where that pays, and gives the generator of the videos."""
    device = next(net.parameters()).device
    if fused.pays(net, film.videos * film.frames, device):
        fused.fuse(net)
    return torch.Generator(device).manual_seed(SEED + 1)


# ---- the twins -----------------------------------------------------------------------------------------------------


def twins(lab: Lab) -> tuple[Backprop, Backprop]:
    """A net that names the digit from one frame, and one that tells from three in a row whether the last is broken."""
    film, dataset = lab.pick(smoke=SMOKE, full=FULL), film_data(lab)
    pixels = film.canvas[0] * film.canvas[1]
    recipe = BackpropRecipe(
        data=film.data,
        widths=film.widths,
        epochs=1,
        batch=film.batch,
        rate=film.twin_rate,
        smoothing=0.9,
        decay=0.0002,
        jitter=0,
        mirror=False,
        validation=0,
        tolerance=0.0,
        revisit=1.0,
        seed=SEED,
        center=False,
        field_sizes=(),
        strides=(),
        margins=(),
    )

    def name(net: Backprop) -> None:
        generator = _ready(net, film)
        method, one = Backpropagation(net, recipe, generator, film.batch), torch.ones(film.batch).to(generator.device)
        for images, labels, progress in batches(film.twin_videos, film, dataset, generator):
            video = launch(images, film.speeds, film.canvas, generator)
            for frame in video.frames(film.watched + 1, film.frames):
                method.step(frame, labels, labels, one, progress)
        method.check()

    def judge(net: Backprop) -> None:
        generator = _ready(net, film)
        method = Backpropagation(net, recipe, generator, 2 * film.batch)
        one = torch.ones(2 * film.batch, device=generator.device)
        answer = (one.cumsum(0) > film.batch).long()
        for images, _, progress in batches(film.twin_videos, film, dataset, generator):
            video = launch(images, film.speeds, film.canvas, generator)
            broken = _shares(film.shares[1:], film.batch, generator.device)
            other = torch.arange(film.batch, device=generator.device).roll(1)
            for number in range(film.watched + 1, film.frames + 1):
                past = torch.cat([video.frame(number - 2), video.frame(number - 1)], 1)
                now = torch.cat([video.frame(number), break_at(number, video, other, broken, generator)])
                seen = torch.cat([torch.cat([past, past[other]]), now], 1)
                method.step(seen, answer, answer, one, progress)
        method.check()

    settings = {**asdict(film), "twin": recipe.fields()}
    seeded = [torch.Generator().manual_seed(SEED) for _ in range(2)]
    namer = Backprop(pixels, film.widths, dataset.classes, seeded[0])
    judging = Backprop(3 * pixels, film.widths, 2, seeded[1])
    return (
        lab.teach(namer, "moving-twin-names", dataset, settings, name),
        lab.teach(judging, "moving-twin-judges", dataset, settings, judge),
    )
