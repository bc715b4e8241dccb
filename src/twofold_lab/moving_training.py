"""Training on videos of moving digits, for the claims ``agree`` and ``moving``.

Digits move at constant velocity in any direction over a black canvas and bounce off its edges. A recurrent net with
top-down and lateral input gets one frame per iteration, with the label clamped at the top. Its goodness is low
activity. Positive data are unbroken videos with their true label. There are two types of negative data:

* the same video with a wrong label, drawn from the softmax of a bottom-up pass on the first frame. This case has its
  own state from the first frame on;
* another video with its true label that breaks at the current frame: its motion is reversed, it shows another digit, or
  the digit has jumped. Before and after this frame, the state of the negative case is the state of the unbroken video.
  The net thus learns from broken frames, but they leave no trace in its state.

The net learns from every frame from the third one on, with one update per frame; two frames are needed to know the
velocity. With the second type of negatives, the two videos of a pair are different, so that the net learns a level of
activity that is valid for all videos.

The two backprop twins have the same hidden layers and learn from the same type of videos, but from fewer, since they
learn faster (full: a third, 8,000 updates). One twin classifies the digit of a single frame. The other decides from
three consecutive frames if the last one is broken.

Sizes, rate, temperature and label strength were chosen on held-out training images. The larger temperature and smaller
rate than for still images prevent units from becoming inactive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate

import torch
from torch import Generator, Tensor

from twofold import machine
from twofold.data import Dataset
from twofold.errors import Diverged
from twofold.goodness import minus_sum_of_squares
from twofold.layers.recurrent import LayerState
from twofold.learning import Rule
from twofold.negatives import hard_wrong_labels
from twofold.nets.backprop import Backprop
from twofold.nets.net import Net, first_not_finite
from twofold.nets.recurrent import Recurrent
from twofold.nets.video import State
from twofold.objectives import swish_symba
from twofold.recipes.mnist import twin as mnist_twin
from twofold.recipes.recurrent import recurrent
from twofold.schedules import constant_then_linear
from twofold_lab.data.moving import Moving, jump, launch, reverse, swap
from twofold_lab.lab import Lab

SEED = 0

Examples = Callable[["Film", Moving, Tensor, Generator], Iterator[tuple[Tensor, Tensor]]]
"""Function: settings, videos, labels of the videos, random generator -> iterator over the inputs of a twin and the
targets, with one item per frame."""


@dataclass(frozen=True)
class Film:
    """Settings of the videos and of the training on them. The defaults are those of full size.

    Attributes:
        data: name of the data set whose images move.
        canvas: height and width of a frame, in pixels.
        speeds: possible speeds of an image in pixels per frame, all equally likely.
        unseen: speeds that occur only in tests.
        frames: number of the last frame, counted from 0; frame 0 initializes the state of the net.
        watched: number of frames after frame 0 without learning.
        since: number of the frame at which test videos break.
        widths: number of units in each hidden layer.
        videos: number of batches of videos for the training of the net.
        twin_videos: number of batches of videos for the training of each twin.
        batch: number of pairs in a batch.
        shares: shares of the pairs by type of negative: wrong label, reversed motion, another digit, jump.
        rate: learning rate, constant for the first half of training, then linear to zero.
        decay: weight decay, relative to the rate.
        temperature: temperature of the objective, per unit of a layer.
        label_strength: value of the label's entry in the label vector at the top.
        twin_rate: learning rate of the twins, with the same schedule.
    """

    data: str = "mnist"
    canvas: tuple[int, int] = (36, 36)
    speeds: tuple[float, ...] = (1.0, 2.0, 3.0)
    unseen: tuple[float, ...] = (1.5, 4.0)
    frames: int = 9
    watched: int = 1
    since: int = 6
    widths: tuple[int, ...] = (500, 500)
    videos: int = 3000
    twin_videos: int = 1000
    batch: int = 100
    shares: tuple[float, float, float, float] = (0.4, 0.25, 0.2, 0.15)
    rate: float = 0.01
    decay: float = 0.002
    temperature: float = 1.0
    label_strength: float = 15.0
    twin_rate: float = 0.05


FULL = Film()
SMOKE = Film(
    data="digits",
    canvas=(12, 12),
    speeds=(1.0, 2.0),
    unseen=(1.5,),
    frames=7,
    since=5,
    widths=(100, 100),
    videos=200,
    twin_videos=100,
    rate=0.02,
)


def settings(lab: Lab) -> tuple[Film, Dataset]:
    """Return the settings for the size of the laboratory, and the data set of the images, on its device."""
    film = lab.pick(smoke=SMOKE, full=FULL)
    return film, lab.data(film.data).to(machine.choose_device(lab.device))


def batches(film: Film, dataset: Dataset, count: int, generator: Generator) -> Iterator[tuple[float, Moving, Tensor]]:
    """Yield ``count`` batches of videos of random training images: factor of the learning rate, videos, labels."""
    images, labels = dataset.train
    for number in range(count):
        cases = torch.randint(len(labels), (film.batch,), generator=generator, device=labels.device)
        video = launch(images[cases], film.speeds, film.canvas, generator)
        yield constant_then_linear(number / count), video, labels[cases]


def view(net: Recurrent, frame: Tensor) -> Tensor:
    """Return the input of the net's first layer for a frame ``(batch, 1, height, width)``, ``(batch, inputs)``."""
    return net.images(frame).rows


# ---- the net -------------------------------------------------------------------------------------------------------


def trained_net(lab: Lab) -> Recurrent:
    """Return the recurrent net, trained on the videos."""
    film, dataset = settings(lab)

    def learn(net: Recurrent) -> None:
        generator = torch.Generator(net.device).manual_seed(SEED + 1)
        for factor, video, labels in batches(film, dataset, film.videos, generator):
            learn_videos(net, film, video, labels, factor, generator)
        require_finite(net)

    return lab.train_net(build(film, dataset), "moving", dataset, {**asdict(film), "seed": SEED}, learn)


def build(film: Film, dataset: Dataset) -> Recurrent:
    """Return the untrained recurrent net."""
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


def learn_videos(
    net: Recurrent, film: Film, video: Moving, labels: Tensor, factor: float, generator: Generator
) -> None:
    """Train a net on a batch of videos, with an update after each frame.

    Args:
        net: the net.
        film: the settings.
        video: the positive videos.
        labels: true labels of the videos, ``(batch,)``.
        factor: learning rate of this batch, divided by the initial learning rate.
        generator: random generator on the device of the net.
    """
    count, pairs = len(labels), torch.arange(len(labels), device=labels.device)
    start = net.start(view(net, video.frame(0)))
    logits = net.softmax.learn(net.read_state(start), labels, recurrent.softmax_rate * factor)

    misnamed, *broken = divide(pairs, film.shares)
    source = torch.cat([misnamed, torch.cat(broken).roll(1)])  # the index of each negative's video
    negative_labels = labels[source]
    negative_labels[misnamed] = hard_wrong_labels(labels[misnamed], logits[misnamed], generator)
    top = net.top(torch.cat([labels, negative_labels]))

    # After a frame, a broken negative continues from the state of the true motion, that is of a positive case.
    successor = torch.cat([pairs, torch.where(source < len(misnamed), source + count, source)])
    state = cases_of(start, torch.cat([pairs, source]))
    for number in range(1, film.frames + 1):
        true = video.frame(number)
        if number <= film.watched:
            state = net.step(view(net, torch.cat([true, true[source]])), top, state)
        else:
            negative = torch.cat([true[misnamed], break_at(number, video, source, broken, generator)])
            frame = view(net, torch.cat([true, negative]))
            result = net.learn_video([frame], top, state, film.rate * factor)
            state = cases_of(result.state, successor)


def break_at(number: int, video: Moving, source: Tensor, broken: Sequence[Tensor], generator: Generator) -> Tensor:
    """Return frame ``number`` of videos that break at this frame.

    Args:
        number: number of the frame.
        video: the unbroken videos.
        source: index of the video that breaks, for each pair, ``(batch,)``.
        broken: three tensors with indices of pairs: pairs with reversed motion, with another digit, and with a jump.
        generator: random generator on the device of the videos.

    Returns:
        Frames ``(broken pairs, 1, height, width)``.
    """
    reversing, swapping, jumping = (video.select(source[pairs]) for pairs in broken)
    videos = (
        reverse(reversing, number),
        swap(swapping, number, video.images[broken[1]]),
        jump(jumping, number, generator),
    )
    return torch.cat([changed.frame(number) for changed in videos])


def divide(pairs: Tensor, shares: Sequence[float]) -> list[Tensor]:
    """Split the indices of the pairs of a batch, ``(batch,)``, into consecutive groups in proportion to ``shares``."""
    ends = [round(len(pairs) * end / sum(shares)) for end in accumulate(shares)]
    return list(pairs.tensor_split(ends[:-1]))


def cases_of(state: State, cases: Tensor) -> State:
    """Select the cases with the indices ``cases`` from a state."""
    return tuple(LayerState(*(tensor[cases] for tensor in layer)) for layer in state)


def require_finite(net: Net) -> None:
    """Raise `Diverged` if a weight is not finite."""
    if name := first_not_finite(net.state_dict()):
        raise Diverged(f"{name} has values that are not finite: lower the learning rate of the film")


# ---- the twins -----------------------------------------------------------------------------------------------------


def twins(lab: Lab) -> tuple[Backprop, Backprop]:
    """Return both trained twins: the classifier of digits, and the detector of a broken last frame."""
    film, dataset = settings(lab)
    pixels = film.canvas[0] * film.canvas[1]
    recipe = replace(mnist_twin, data=film.data, widths=film.widths, epochs=1, batch=film.batch, rate=film.twin_rate)
    rule = Rule(smoothing=recipe.smoothing, decay=recipe.decay)

    def twin(title: str, inputs: int, classes: int, examples: Examples) -> Backprop:
        def learn(net: Backprop) -> None:
            generator = torch.Generator(net.device).manual_seed(recipe.seed + 1)
            for factor, video, labels in batches(film, dataset, film.twin_videos, generator):
                for frames, answers in examples(film, video, labels, generator):
                    net.learn(frames, answers, rate=recipe.rate * factor, rule=rule)
            require_finite(net)

        net = Backprop(inputs, film.widths, classes, torch.Generator().manual_seed(SEED))
        return lab.train_net(net, title, dataset, {**asdict(film), "twin": recipe.fields()}, learn)

    return (
        twin("moving-twin-names", pixels, dataset.classes, to_name),
        twin("moving-twin-judges", 3 * pixels, 2, to_judge),
    )


def to_name(film: Film, video: Moving, labels: Tensor, _: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of single frames and the labels of their digits; see `Examples`."""
    for frame in video.frames(film.watched + 1, film.frames):
        yield frame, labels


def to_judge(film: Film, video: Moving, labels: Tensor, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of three consecutive frames and targets: 1 if the last frame is broken, else 0; both equally often.

    See `Examples`.
    """
    pairs = torch.arange(len(labels), device=labels.device)
    answers, source, broken = pairs.new_zeros(2 * len(pairs)), pairs.roll(1), divide(pairs, film.shares[1:])
    answers[len(pairs) :] = 1
    for number in range(film.watched + 1, film.frames + 1):
        past = torch.cat([video.frame(number - 2), video.frame(number - 1)], 1)
        last = torch.cat([video.frame(number), break_at(number, video, source, broken, generator)])
        yield torch.cat([torch.cat([past, past[source]]), last], 1), answers
