"""Pictures that move over a black canvas at constant velocity and bounce at its walls (talk 23:29).

A frame is computed from its number, so nothing is stored, and any frame can be asked for. A picture between pixels is
spread over the pixels that it touches. Videos that break at a frame are what a net that predicts must be surprised by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from twofold.errors import DataError, SettingError


@dataclass(frozen=True, eq=False)
class Moving:
    """A batch of pictures, each on its way.

    The corner of a picture is at fold(start + velocity · frame) along each axis. The fold keeps it within its room,
    canvas - picture, as a ball between two walls: fold(u) = room - |room - (u mod 2 room)|.

    Attributes:
        images: ``(batch, 1, height, width)``.
        start: upper left corner at frame 0, down and right, in pixels, ``(batch, 2)``; before it is folded.
        velocity: in pixels a frame, ``(batch, 2)``.
        canvas: height and width of a frame.
    """

    images: Tensor
    start: Tensor
    velocity: Tensor
    canvas: tuple[int, int]

    @property
    def room(self) -> Tensor:
        """How far a corner can go, down and right, in pixels, ``(2,)``."""
        size = torch.tensor(self.images.shape[2:])
        return (torch.tensor(self.canvas) - size).to(self.start)

    def of(self, cases: Tensor) -> Moving:
        """Some of the pictures, by number, ``(some,)``."""
        return replace(self, images=self.images[cases], start=self.start[cases], velocity=self.velocity[cases])

    def corner(self, frame: int) -> Tensor:
        """Upper left corner of each picture at a frame, counted from 0, in pixels, ``(batch, 2)``."""
        room = self.room
        return room - (room - (self.start + self.velocity * frame) % (2 * room)).abs()

    def frame(self, number: int) -> Tensor:
        """What is seen at a frame, counted from 0: ``(batch, 1, height, width)`` of the canvas, in [0, 1]."""
        return place(self.images, self.corner(number), self.canvas)

    def frames(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames from ``first`` to ``last``, both among them.

        Raises:
            SettingError: there are none.
        """
        return _frames(self, first, last)


@dataclass(frozen=True, eq=False)
class Broken:
    """A video that is one at first and another from a frame on.

    Attributes:
        before: what is seen until then.
        after: what is seen from then on.
        since: the first frame, from 0, that is of the other.
    """

    before: Moving
    after: Moving
    since: int

    def frame(self, number: int) -> Tensor:
        """What is seen at a frame: ``(batch, 1, height, width)`` of the canvas, in [0, 1]."""
        return (self.before if number < self.since else self.after).frame(number)

    def frames(self, first: int, last: int) -> Iterator[Tensor]:
        """The frames from ``first`` to ``last``, both among them.

        Raises:
            SettingError: there are none.
        """
        return _frames(self, first, last)


def _frames(video: Moving | Broken, first: int, last: int) -> Iterator[Tensor]:
    if last < first:
        raise SettingError(f"no frames from {first} to {last}: the last one may not come before the first")
    return (video.frame(number) for number in range(first, last + 1))


def launch(
    images: Tensor,
    speeds: Sequence[float],
    canvas: tuple[int, int],
    generator: Generator,
    *,
    free: int | None = None,
) -> Moving:
    """Send pictures on their way: any place, any direction, one of some speeds, each as likely as the others.

    Args:
        images: ``(batch, 1, height, width)``, in [0, 1].
        speeds: in pixels a frame; each above 0 and, so that two walls never touch one step, at most half of the room.
        canvas: height and width of a frame, larger than a picture.
        generator: on the device of ``images``. The same seed gives the same videos.
        free: at this frame no picture meets a wall, whichever way it goes from where it was at the one before. Not
            asked for if ``None``.

    Raises:
        DataError: the images have another shape, or are as large as the canvas.
        SettingError: no speed, or one that is out of its range.
    """
    if images.dim() != 4 or images.shape[1] != 1 or not images.numel():
        raise DataError(
            f"images to move have the shape {tuple(images.shape)}, expected (batch, 1, height, width) with a pixel"
        )
    room = min(side - size for side, size in zip(canvas, images.shape[2:], strict=True))
    if room < 1:
        raise DataError(
            f"a picture of {images.shape[2]} x {images.shape[3]} pixels has no room to move on a canvas of "
            f"{canvas[0]} x {canvas[1]}: give a larger canvas"
        )
    if not speeds or not all(0 < speed <= room / 2 for speed in speeds):
        raise SettingError(
            f"the speeds are {', '.join(f'{speed:g}' for speed in speeds) or 'none'}, expected pixels a frame above 0 "
            f"and up to {room / 2:g}, half of the room that a picture has on the canvas"
        )
    batch, device = len(images), images.device
    angle = 2 * torch.pi * torch.rand(batch, generator=generator, device=device)
    chosen = torch.randint(len(speeds), (batch,), generator=generator, device=device)
    speed = torch.tensor(speeds, dtype=images.dtype, device=device)[chosen]
    velocity = speed[:, None] * torch.stack([angle.sin(), angle.cos()], 1)
    where = torch.rand(batch, 2, generator=generator, device=device)
    video = Moving(images, where, velocity, canvas)
    if free is None:
        return replace(video, start=where * video.room)
    reach = speed[:, None]
    return replace(video, start=reach + where * (video.room - 2 * reach) - velocity * (free - 1))


def reverse(video: Moving, since: int) -> Broken:
    """From frame ``since`` on the pictures go back the way they came."""
    back = replace(video, start=video.start + 2 * (since - 1) * video.velocity, velocity=-video.velocity)
    return Broken(video, back, since)


def turn(video: Moving, since: int) -> Broken:
    """From frame ``since`` on the pictures go at a right angle to the way they came, at the same speed."""
    down, right = video.velocity.unbind(1)
    velocity = torch.stack([-right, down], 1)
    return Broken(
        video, replace(video, start=video.corner(since - 1) - (since - 1) * velocity, velocity=velocity), since
    )


def stop(video: Moving, since: int) -> Broken:
    """From frame ``since`` on the pictures stay where they were at the one before."""
    start = video.corner(since - 1)
    return Broken(video, replace(video, start=start, velocity=torch.zeros_like(start)), since)


def swap(video: Moving, since: int, images: Tensor) -> Broken:
    """From frame ``since`` on other pictures are on the same way.

    Args:
        video: what is seen until then.
        since: the first frame with the others.
        images: the others, of the same shape.

    Raises:
        DataError: their shape is another one.
    """
    if images.shape != video.images.shape:
        raise DataError(
            f"the pictures that take over have the shape {tuple(images.shape)}, expected {tuple(video.images.shape)}: "
            "give one of the same size for each"
        )
    return Broken(video, replace(video, images=images), since)


def jump(video: Moving, since: int, generator: Generator) -> Broken:
    """From frame ``since`` on the pictures are elsewhere: by a third to two thirds of the room along each axis.

    They go on at the same velocity from there. Where a wall is in the way they appear on the other side.

    Args:
        video: what is seen until then.
        since: the first frame elsewhere.
        generator: on the device of the pictures.
    """
    room, here = video.room, video.corner(since)
    far = (1 + torch.rand(here.shape, generator=generator, device=here.device)) / 3
    there = (here + far * room) % room
    return Broken(video, replace(video, start=there - video.velocity * since), since)


def place(images: Tensor, corner: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Pictures on a black canvas; where a corner lies between pixels they are interpolated linearly along both axes.

    Args:
        images: ``(batch, 1, height, width)``.
        corner: upper left corners, down and right, in pixels, from 0 to canvas - picture, ``(batch, 2)``.
        canvas: height and width of the result.

    Returns:
        ``(batch, 1, *canvas)``.
    """
    batch, _, height, width = images.shape
    down, right = canvas[0] - height, canvas[1] - width
    # One more row and column than the canvas: each pixel is a mean of neighbors, of which the first may lie outside.
    padded = functional.pad(images[:, 0], [right + 1, right, down + 1, down])
    windows = padded.unfold(1, canvas[0] + 1, 1).unfold(2, canvas[1] + 1, 1)  # a view
    whole = corner.floor()
    offset = (torch.tensor([down, right], device=corner.device) - whole).long()
    seen = windows[torch.arange(batch, device=images.device), offset[:, 0], offset[:, 1]]
    part = (corner - whole).to(images.dtype)[:, :, None, None]
    rows = torch.lerp(seen[:, 1:], seen[:, :-1], part[:, 0])
    return torch.lerp(rows[:, :, 1:], rows[:, :, :-1], part[:, 1])[:, None]
