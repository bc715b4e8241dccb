"""Moving pictures against a reference that goes pixel by pixel and wall by wall, and the measure of surprise."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from support.helpers import refusal
from twofold.errors import DataError, Diverged, SettingError
from twofold_lab.claims.moving import draw_surprise, separation
from twofold_lab.data.moving import Moving, jump, launch, place, reverse, stop, swap, turn
from twofold_lab.lab import Lab
from twofold_lab.moving_training import batches, break_at, build, learn_videos, require_finite, settings, to_judge

CANVAS = (11, 13)
SPEEDS = (0.5, 1.0, 2.5)
FREE = 5


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 30, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, 4, 5, generator=seeded(seed))


def videos(free: int | None = FREE, seed: int = 0) -> Moving:
    return launch(pictures(), SPEEDS, CANVAS, seeded(seed), free=free)


def walked(start: float, velocity: float, room: float, frames: int) -> list[float]:
    """Return the position after each frame of a ball that turns at every wall, computed wall by wall."""
    position, positions = start, [start]
    for _ in range(frames):
        position += velocity
        while not 0 <= position <= room:
            position = -position if position < 0 else 2 * room - position
            velocity = -velocity
        positions.append(position)
    return positions


def painted(picture: Tensor, corner: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Divide each pixel of the picture among the pixels that it touches, by their distance."""
    shown = torch.zeros(canvas)
    height, width = picture.shape
    for row, column in itertools.product(range(height), range(width)):
        down, right = float(corner[0]) + row, float(corner[1]) + column
        for y, x in itertools.product(
            (math.floor(down), math.floor(down) + 1), (math.floor(right), math.floor(right) + 1)
        ):
            near = max(0.0, 1 - abs(y - down)) * max(0.0, 1 - abs(x - right))
            if near:
                shown[y, x] += near * picture[row, column]
    return shown


def test_corners_are_those_of_a_ball_that_turns_at_every_wall() -> None:
    video = videos(free=None)
    for case in range(len(video.start)):
        for axis, room in enumerate((7.0, 8.0)):
            expected = walked(float(video.start[case, axis]), float(video.velocity[case, axis]), room, 40)
            corners = [float(video.corner(frame)[case, axis]) for frame in range(41)]
            assert corners == pytest.approx(expected, abs=1e-4)


def test_pixels_are_those_of_a_painter_who_goes_one_by_one() -> None:
    images = pictures(6)
    corner = torch.tensor([[0, 0], [7, 8], [0, 3.25], [6.5, 8], [2.75, 0.125], [7, 7.9]])
    for image, position, shown in zip(images, corner, place(images, corner, CANVAS), strict=True):
        torch.testing.assert_close(shown[0], painted(image[0], position, CANVAS))


def test_a_frame_has_all_of_the_picture_and_stays_in_range() -> None:
    video = videos()
    for frame in video.frames(0, 12):
        assert frame.shape == (30, 1, *CANVAS)
        assert frame.min() >= 0
        assert frame.max() <= 1
        torch.testing.assert_close(frame.sum((1, 2, 3)), video.images.sum((1, 2, 3)))


def test_the_same_seed_gives_the_same_videos_and_another_seed_gives_others() -> None:
    assert torch.equal(videos().frame(7), videos().frame(7))
    assert not torch.equal(videos().frame(7), videos(seed=1).frame(7))


def test_velocity_is_constant_between_walls_and_has_the_asked_speed() -> None:
    video = videos()
    torch.testing.assert_close(
        video.velocity.norm(dim=1).unique().round(decimals=4).unique(), torch.tensor(SPEEDS), atol=1e-4, rtol=0
    )
    corners = torch.stack([video.corner(frame) for frame in range(30)])
    steps, room = corners.diff(dim=0), video.room
    away = (corners[:-1] - video.velocity.abs() >= 0) & (corners[:-1] + video.velocity.abs() <= room)
    expected = video.velocity.abs().expand_as(steps)
    torch.testing.assert_close(steps.abs()[away], expected[away], atol=1e-4, rtol=0)
    assert (away.sum((0, 1)) > 0).all()


def test_all_directions_are_taken() -> None:
    angle = torch.atan2(*launch(pictures(2000), (1.0,), CANVAS, seeded()).velocity.T)
    counts = torch.histc(angle, 8, -math.pi, math.pi)
    assert counts.min() > 190
    assert counts.max() < 310


def test_no_wall_is_near_at_the_free_frame_whichever_way_the_picture_goes() -> None:
    video = videos()
    before = video.corner(FREE - 1)
    ahead, back, aside = (
        moved.corner(FREE) - before for moved in (video, reverse(video, FREE).after, turn(video, FREE).after)
    )
    torch.testing.assert_close(back, -ahead, atol=1e-4, rtol=0)
    torch.testing.assert_close((ahead * aside).sum(1), torch.zeros(30), atol=1e-4, rtol=0)
    for step in (ahead, aside):
        torch.testing.assert_close(step.norm(dim=1), video.velocity.norm(dim=1), atol=1e-4, rtol=0)


def test_a_picture_that_stops_stays_where_it_was() -> None:
    video = videos()
    for number in (FREE, FREE + 4):
        torch.testing.assert_close(stop(video, FREE).frame(number), video.frame(FREE - 1), atol=1e-5, rtol=0)


def test_every_break_shows_from_its_frame_on_and_not_before() -> None:
    video, others = videos(), pictures(seed=2)
    bent = reverse(video, FREE), turn(video, FREE), stop(video, FREE)
    for broken in (*bent, swap(video, FREE, others), jump(video, FREE, seeded())):
        for number, (frame, plain) in enumerate(zip(broken.frames(0, 9), video.frames(0, 9), strict=True)):
            changed = (frame - plain).abs().flatten(1).amax(1)
            if number < FREE:
                assert not changed.any()
            if number == FREE:
                assert (changed > 0.05).all()


def test_reversed_motion_is_the_motion_played_backwards() -> None:
    video = videos()
    broken = reverse(video, FREE)
    for number in range(FREE, 15):
        torch.testing.assert_close(broken.frame(number), video.frame(2 * (FREE - 1) - number), atol=1e-4, rtol=0)


def test_swapped_pictures_are_others_on_the_same_way() -> None:
    video, others = videos(), pictures(seed=2)
    broken = swap(video, FREE, others)
    assert torch.equal(broken.after.corner(8), video.corner(8))
    torch.testing.assert_close(broken.frame(8), place(others, video.corner(8), CANVAS))


def test_a_jump_leads_far_away_on_both_axes_and_goes_on_at_the_same_speed() -> None:
    video = videos()
    broken = jump(video, FREE, seeded())
    far = (broken.after.corner(FREE) - video.corner(FREE)).abs() / video.room
    assert far.min() >= 1 / 3 - 1e-5
    assert far.max() <= 2 / 3 + 1e-5
    assert torch.equal(broken.after.velocity, video.velocity)


def test_negatives_are_the_videos_of_others_each_broken_at_this_frame_in_its_own_way() -> None:
    video, other = videos(), torch.arange(30).roll(1)
    pairs = [torch.arange(5, 15), torch.arange(15, 22), torch.arange(22, 30)]
    frames = break_at(FREE, video, other, pairs, seeded())
    source = other[5:]
    torch.testing.assert_close(frames[:10], video.select(source[:10]).frame(FREE - 2), atol=1e-4, rtol=0)
    assert torch.equal(frames[10:17], place(video.images[15:22], video.corner(FREE)[source[10:17]], CANVAS))
    assert torch.equal(frames[17:], jump(video.select(source[17:]), FREE, seeded()).frame(FREE))


def test_the_judge_learns_from_as_many_broken_frames_as_unbroken_ones(tmp_path: Path) -> None:
    film, dataset = settings(Lab("smoke", tmp_path))
    (_, video, labels), *_ = batches(film, dataset, 1, seeded())
    examples = list(to_judge(film, video, labels, seeded()))
    assert len(examples) == film.frames - film.watched
    for number, (frames, answers) in enumerate(examples, film.watched + 1):
        assert frames.shape == (2 * film.batch, 3, *film.canvas)
        assert answers.tolist() == [0] * film.batch + [1] * film.batch
        unbroken, broken = frames.chunk(2)
        for back in (0, 1, 2):
            assert torch.equal(unbroken[:, 2 - back], video.frame(number - back)[:, 0])
        assert torch.equal(broken[:, :2], unbroken[:, :2].roll(1, 0))
        assert not torch.isclose(broken[:, 2], unbroken[:, 2].roll(1, 0), atol=0.05).flatten(1).all(1).any()


def test_the_net_learns_from_every_frame_after_the_second_at_the_rate_of_the_schedule(tmp_path: Path) -> None:
    film, dataset = settings(Lab("smoke", tmp_path))
    net, rates, generator = build(film, dataset), list[float](), seeded()
    learn = net.learn_video
    net.learn_video = lambda *given, **named: (rates.append(given[3]), learn(*given, **named))[1]  # type: ignore[method-assign]
    for factor, video, labels in batches(film, dataset, 4, generator):
        learn_videos(net, film, video, labels, factor, generator)
    frames = film.frames - film.watched
    assert rates == pytest.approx([film.rate * factor for factor in (1, 1, 1, 0.5) for _ in range(frames)])
    require_finite(net)
    net.stack[0].bias[0] = math.nan
    with pytest.raises(Diverged, match="lower the learning rate"):
        require_finite(net)


@pytest.mark.parametrize(
    ("images", "canvas"),
    [(pictures(), (4, 13)), (pictures(), (11, 3)), (pictures()[:, 0], CANVAS), (torch.zeros(0, 1, 4, 5), CANVAS)],
)
def test_pictures_that_cannot_move_are_refused_in_one_line(images: Tensor, canvas: tuple[int, int]) -> None:
    assert "(batch, 1" in (line := refusal(lambda: launch(images, (1.0,), canvas, seeded()), DataError)) or (
        "larger canvas" in line
    )


@pytest.mark.parametrize("speeds", [(), (0.0,), (-1.0,), (1.0, 4.0), (math.nan,)])
def test_speeds_out_of_range_are_refused_in_one_line(speeds: tuple[float, ...]) -> None:
    assert "at most 3.5" in refusal(lambda: launch(pictures(), speeds, CANVAS, seeded()), SettingError)


def test_a_video_without_frames_and_a_swap_of_another_size_are_refused() -> None:
    assert "from 3 to 2" in refusal(lambda: videos().frames(3, 2), SettingError)
    assert "same size" in refusal(lambda: swap(videos(), FREE, pictures(3)), DataError)


def test_separation_is_the_share_of_pairs_in_which_the_surprised_one_is_more_active() -> None:
    calm, startled = torch.randint(0, 6, (2, 40), generator=seeded()).float()
    wins = sum((b > a) + 0.5 * (b == a) for a, b in itertools.product(calm.tolist(), startled.tolist()))
    assert separation(calm, startled) == pytest.approx(wins / 1600, abs=5e-5)
    assert separation(calm, calm + 10) == 1.0


def test_the_picture_of_surprise_is_drawn(tmp_path: Path) -> None:
    frames, activity = np.random.default_rng(0).random((2, 6, 5, 5)), np.arange(12.0).reshape(2, 6)
    broken = dict(zip(("swapped", "reversed"), zip(frames, activity, strict=True), strict=True))
    path = draw_surprise(broken, activity[0], 3, 1, tmp_path / "surprise.png")
    assert path.read_bytes().startswith(b"\x89PNG")
