"""Videos of images that move over a black canvas at constant velocity and bounce off its edges (talk 23:29).

Each frame is computed from its number when it is requested. Positions between pixels are interpolated linearly. A video
can also break at a frame: a net that predicts the next frame should detect this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from twofold.errors import DataError, SettingError


class Video(ABC):
    """A batch of videos."""

    @abstractmethod
    def frame(self, number: int) -> Tensor:
        """Return a frame, counted from 0: ``(batch, 1, height, width)`` of the canvas, in [0, 1]."""

    def frames(self, first: int, last: int) -> Iterator[Tensor]:
        """Return an iterator over the frames from ``first`` to ``last`` inclusive.

        Raises:
            SettingError: ``last`` is before ``first``.
        """
        if last < first:
            raise SettingError(f"no frames from {first} to {last}: last must be at least first")
        return (self.frame(number) for number in range(first, last + 1))


@dataclass(frozen=True, eq=False)
class Moving(Video):
    """A batch of videos, each of one moving image.

    Along each axis, the upper left corner of the image is at fold(start + velocity · frame). The function fold reflects
    positions at 0 and at room = canvas - image: fold(u) = room - |room - (u mod 2 room)|.

    Attributes:
        images: ``(batch, 1, height, width)``.
        start: position of the corner at frame 0, before folding: down and right, in pixels, ``(batch, 2)``.
        velocity: down and right, in pixels per frame, ``(batch, 2)``.
        canvas: height and width of a frame.
    """

    images: Tensor
    start: Tensor
    velocity: Tensor
    canvas: tuple[int, int]

    @property
    def room(self) -> Tensor:
        """Largest offsets (down, right) of an image on the canvas, in pixels, ``(2,)``: size of canvas minus image."""
        size = torch.tensor(self.images.shape[2:])
        return (torch.tensor(self.canvas) - size).to(self.start)

    def select(self, cases: Tensor) -> Moving:
        """Return the videos with the indices ``cases``, ``(selected,)``."""
        return replace(self, images=self.images[cases], start=self.start[cases], velocity=self.velocity[cases])

    def corner(self, frame: int) -> Tensor:
        """Return the upper left corner of each image at a frame, counted from 0: down and right, ``(batch, 2)``."""
        room = self.room
        return room - (room - (self.start + self.velocity * frame) % (2 * room)).abs()

    def frame(self, number: int) -> Tensor:
        return place(self.images, self.corner(number), self.canvas)


@dataclass(frozen=True, eq=False)
class Broken(Video):
    """A batch of videos that change into other videos at a frame.

    Attributes:
        before: the videos before the change.
        after: the videos from the change on.
        since: number of the first frame of ``after``, counted from 0.
    """

    before: Moving
    after: Moving
    since: int

    def frame(self, number: int) -> Tensor:
        return (self.before if number < self.since else self.after).frame(number)


def launch(
    images: Tensor, speeds: Sequence[float], canvas: tuple[int, int], generator: Generator, *, free: int | None = None
) -> Moving:
    """Return videos of images with random initial positions, directions and speeds, all uniformly distributed.

    Args:
        images: ``(batch, 1, height, width)``, in [0, 1].
        speeds: possible speeds in pixels per frame. Speeds must be above 0 and at most half of the difference between
            canvas and image, so that an image bounces at most once in a step.
        canvas: height and width of a frame, larger than an image.
        generator: random generator on the device of ``images``. The same seed gives the same videos.
        free: number of a frame that no image reaches by a bounce, whatever the direction of the step from the frame
            before; ``None`` for no such frame.

    Raises:
        DataError: the images have another shape, or are not smaller than the canvas.
        SettingError: ``speeds`` is empty, or a speed is out of range.
    """
    if images.dim() != 4 or images.shape[1] != 1 or not images.numel():
        raise DataError(f"images has the shape {tuple(images.shape)}, expected (batch, 1, height, width)")
    room = min(side - size for side, size in zip(canvas, images.shape[2:], strict=True))
    if room < 1:
        raise DataError(
            f"images of {images.shape[2]} x {images.shape[3]} pixels cannot move on a canvas of "
            f"{canvas[0]} x {canvas[1]}: give a larger canvas"
        )
    if not speeds or not all(0 < speed <= room / 2 for speed in speeds):
        raise SettingError(
            f"speeds is {', '.join(f'{speed:g}' for speed in speeds) or 'empty'}, expected above 0 and at most "
            f"{room / 2:g} pixels per frame, half of the difference between canvas and image"
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
    """Reverse the direction of motion from frame ``since`` on."""
    back = replace(video, start=video.start + 2 * (since - 1) * video.velocity, velocity=-video.velocity)
    return Broken(video, back, since)


def turn(video: Moving, since: int) -> Broken:
    """Turn the direction of motion by 90 degrees, at the same speed, from frame ``since`` on."""
    down, right = video.velocity.unbind(1)
    velocity = torch.stack([-right, down], 1)
    start = video.corner(since - 1) - (since - 1) * velocity
    return Broken(video, replace(video, start=start, velocity=velocity), since)


def stop(video: Moving, since: int) -> Broken:
    """Stop the motion from frame ``since`` on, at the positions in the last frame before ``since``."""
    start = video.corner(since - 1)
    return Broken(video, replace(video, start=start, velocity=torch.zeros_like(start)), since)


def swap(video: Moving, since: int, images: Tensor) -> Broken:
    """Replace the images by other images on the same path from frame ``since`` on.

    Args:
        video: the videos before the change.
        since: number of the first frame with the new images.
        images: the new images, of the same shape as the old ones.

    Raises:
        DataError: ``images`` has another shape.
    """
    if images.shape != video.images.shape:
        raise DataError(
            f"images has the shape {tuple(images.shape)}, expected {tuple(video.images.shape)}: "
            "give a new image of the same size for each video"
        )
    return Broken(video, replace(video, images=images), since)


def jump(video: Moving, since: int, generator: Generator) -> Broken:
    """Let the images jump at frame ``since``, by a third to two thirds of the possible distance along each axis.

    The distance is `Moving.room`. The velocity does not change. A jump beyond an edge continues from the opposite edge.

    Args:
        video: the videos before the jump.
        since: number of the first frame after the jump.
        generator: random generator on the device of the images.
    """
    room, corner = video.room, video.corner(since)
    distance = (1 + torch.rand(corner.shape, generator=generator, device=corner.device)) / 3
    target = (corner + distance * room) % room
    return Broken(video, replace(video, start=target - video.velocity * since), since)


def place(images: Tensor, corner: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Place images on a black canvas, with bilinear interpolation at positions between pixels.

    Args:
        images: ``(batch, 1, height, width)``.
        corner: upper left corners, down and right, in pixels from 0 to canvas - image, ``(batch, 2)``.
        canvas: height and width of the canvas.

    Returns:
        The canvases, ``(batch, 1, *canvas)``.
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
