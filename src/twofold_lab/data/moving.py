"""Pictures that move over a black canvas at constant velocity and bounce off its walls (talk 23:29).

Frames are computed from their number, in any order, and are not stored. Positions between pixels are interpolated
linearly. A video can also break at a frame; a net that predicts the next frame should be surprised by it.
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
    """A batch of moving pictures.

    The corner of a picture is at fold(start + velocity · frame) along each axis, where fold reflects it between 0 and
    room = canvas - picture: fold(u) = room - |room - (u mod 2 room)|.

    Attributes:
        images: ``(batch, 1, height, width)``.
        start: upper left corner at frame 0 before folding, down and right, in pixels, ``(batch, 2)``.
        velocity: down and right, in pixels per frame, ``(batch, 2)``.
        canvas: height and width of a frame.
    """

    images: Tensor
    start: Tensor
    velocity: Tensor
    canvas: tuple[int, int]

    @property
    def room(self) -> Tensor:
        """The distance over which a corner can move, down and right, in pixels, ``(2,)``."""
        size = torch.tensor(self.images.shape[2:])
        return (torch.tensor(self.canvas) - size).to(self.start)

    def select(self, cases: Tensor) -> Moving:
        """Return the pictures with the indices ``cases``, ``(selected,)``."""
        return replace(self, images=self.images[cases], start=self.start[cases], velocity=self.velocity[cases])

    def corner(self, frame: int) -> Tensor:
        """Return the upper left corner of each picture at a frame, counted from 0, in pixels, ``(batch, 2)``."""
        room = self.room
        return room - (room - (self.start + self.velocity * frame) % (2 * room)).abs()

    def frame(self, number: int) -> Tensor:
        """Return a frame, counted from 0: ``(batch, 1, height, width)`` of the canvas, in [0, 1]."""
        return place(self.images, self.corner(number), self.canvas)

    def frames(self, first: int, last: int) -> Iterator[Tensor]:
        """Return an iterator over the frames from ``first`` to ``last`` inclusive.

        Raises:
            SettingError: ``last`` is before ``first``.
        """
        return _frames(self, first, last)


@dataclass(frozen=True, eq=False)
class Broken:
    """A video that changes into another one at a frame.

    Attributes:
        before: the video before the change.
        after: the video after the change.
        since: the first frame of ``after``, counted from 0.
    """

    before: Moving
    after: Moving
    since: int

    def frame(self, number: int) -> Tensor:
        """Return a frame, counted from 0: ``(batch, 1, height, width)`` of the canvas, in [0, 1]."""
        return (self.before if number < self.since else self.after).frame(number)

    def frames(self, first: int, last: int) -> Iterator[Tensor]:
        """Return an iterator over the frames from ``first`` to ``last`` inclusive.

        Raises:
            SettingError: ``last`` is before ``first``.
        """
        return _frames(self, first, last)


def _frames(video: Moving | Broken, first: int, last: int) -> Iterator[Tensor]:
    if last < first:
        raise SettingError(f"no frames from {first} to {last}, expected last to be first or later")
    return (video.frame(number) for number in range(first, last + 1))


def launch(
    images: Tensor,
    speeds: Sequence[float],
    canvas: tuple[int, int],
    generator: Generator,
    *,
    free: int | None = None,
) -> Moving:
    """Start pictures at uniformly random positions, in uniformly random directions, each at one of the given speeds.

    Args:
        images: ``(batch, 1, height, width)``, in [0, 1].
        speeds: speeds in pixels per frame, all equally likely; above 0 and at most half of the room, so that no step
            hits two walls.
        canvas: height and width of a frame, larger than a picture.
        generator: random generator on the device of ``images``. The same seed gives the same videos.
        free: a frame at which no picture hits a wall, whatever the direction of its last step; ``None`` for no such
            condition.

    Raises:
        DataError: the images have another shape, or are not smaller than the canvas.
        SettingError: ``speeds`` is empty, or one is out of range.
    """
    if images.dim() != 4 or images.shape[1] != 1 or not images.numel():
        raise DataError(
            f"images of a moving scene have the shape {tuple(images.shape)}, expected (batch, 1, height, width)"
        )
    room = min(side - size for side, size in zip(canvas, images.shape[2:], strict=True))
    if room < 1:
        raise DataError(
            f"a picture of {images.shape[2]} x {images.shape[3]} pixels has no room to move on a canvas of "
            f"{canvas[0]} x {canvas[1]}: give a larger canvas"
        )
    if not speeds or not all(0 < speed <= room / 2 for speed in speeds):
        raise SettingError(
            f"the speeds are {', '.join(f'{speed:g}' for speed in speeds) or 'none'}, expected more than 0 and up to "
            f"{room / 2:g} pixels per frame, half of the room that a picture has on the canvas"
        )
    batch, device = len(images), images.device
    angle = 2 * torch.pi * torch.rand(batch, generator=generator, device=device)
    chosen = torch.randint(len(speeds), (batch,), generator=generator, device=device)
    speed = torch.tensor(speeds, dtype=images.dtype, device=device)[chosen]
    velocity = speed[:, None] * torch.stack([angle.sin(), angle.cos()], 1)
    position = torch.rand(batch, 2, generator=generator, device=device)
    video = Moving(images, position, velocity, canvas)
    if free is None:
        return replace(video, start=position * video.room)
    reach = speed[:, None]
    return replace(video, start=reach + position * (video.room - 2 * reach) - velocity * (free - 1))


def reverse(video: Moving, since: int) -> Broken:
    """Reverse the motion of the pictures from frame ``since`` on."""
    back = replace(video, start=video.start + 2 * (since - 1) * video.velocity, velocity=-video.velocity)
    return Broken(video, back, since)


def turn(video: Moving, since: int) -> Broken:
    """Turn the direction of motion by a right angle, at the same speed, from frame ``since`` on."""
    down, right = video.velocity.unbind(1)
    velocity = torch.stack([-right, down], 1)
    return Broken(
        video, replace(video, start=video.corner(since - 1) - (since - 1) * velocity, velocity=velocity), since
    )


def stop(video: Moving, since: int) -> Broken:
    """Stop the pictures at their positions one frame before ``since``."""
    start = video.corner(since - 1)
    return Broken(video, replace(video, start=start, velocity=torch.zeros_like(start)), since)


def swap(video: Moving, since: int, images: Tensor) -> Broken:
    """Replace the pictures by others on the same path from frame ``since`` on.

    Args:
        video: the video before the change.
        since: the first frame with the new pictures.
        images: the new pictures, of the same shape.

    Raises:
        DataError: ``images`` has another shape.
    """
    if images.shape != video.images.shape:
        raise DataError(
            f"the new pictures have the shape {tuple(images.shape)}, expected {tuple(video.images.shape)}: "
            "give one of the same size for each"
        )
    return Broken(video, replace(video, images=images), since)


def jump(video: Moving, since: int, generator: Generator) -> Broken:
    """Move the pictures at frame ``since`` by a third to two thirds of the room along each axis.

    The velocity does not change. A jump beyond a wall continues from the opposite wall.

    Args:
        video: the video before the jump.
        since: the first frame after the jump.
        generator: random generator on the device of the pictures.
    """
    room, corner = video.room, video.corner(since)
    distance = (1 + torch.rand(corner.shape, generator=generator, device=corner.device)) / 3
    target = (corner + distance * room) % room
    return Broken(video, replace(video, start=target - video.velocity * since), since)


def place(images: Tensor, corner: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Draw pictures on a black canvas, with bilinear interpolation at positions between pixels.

    Args:
        images: ``(batch, 1, height, width)``.
        corner: upper left corners, down and right, in pixels from 0 to canvas - picture, ``(batch, 2)``.
        canvas: height and width of the result.

    Returns:
        ``(batch, 1, *canvas)``.
    """
    batch, _, height, width = images.shape
    down, right = canvas[0] - height, canvas[1] - width
    # One more row and column than the canvas: each pixel is a mean of two neighbors, and the first may be outside.
    padded = functional.pad(images[:, 0], [right + 1, right, down + 1, down])
    windows = padded.unfold(1, canvas[0] + 1, 1).unfold(2, canvas[1] + 1, 1)  # a view
    pixel = corner.floor()
    offset = (torch.tensor([down, right], device=corner.device) - pixel).long()
    seen = windows[torch.arange(batch, device=images.device), offset[:, 0], offset[:, 1]]
    fraction = (corner - pixel).to(images.dtype)[:, :, None, None]
    rows = torch.lerp(seen[:, 1:], seen[:, :-1], fraction[:, 0])
    return torch.lerp(rows[:, :, 1:], rows[:, :, :-1], fraction[:, 1])[:, None]
