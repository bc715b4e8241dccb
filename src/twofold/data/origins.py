"""Sources of the built-in data sets: file names, mirrors, shapes and digests of the official files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

HEADER = 16
"""Size in bytes of the longest header, that of an IDX file of images."""


@dataclass(frozen=True)
class Origin:
    """Locations of a data set's files, local and remote, and the digests of the official files.

    Attributes:
        shapes: name of each unpacked file -> shape of its content without the header, in bytes, with the number of
            cases first. A data folder may contain the file as ``.gz`` instead.
        folders: subfolders of a data folder that may contain the files; downloads go to the first.
        mirrors: base URLs to which the name of a download is appended.
        downloads: names of the files to download: one ``.gz`` per file, or one ``.tar.gz`` with all.
        digests: name of an unpacked file or of an archive -> published digest, ``algorithm:hex``.
    """

    shapes: Mapping[str, tuple[int, ...]]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    downloads: tuple[str, ...]
    digests: Mapping[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the unpacked files."""
        return tuple(self.shapes)

    def most(self, *files: str) -> int:
        """Return an upper bound in bytes on the total size of these files, unpacked."""
        return sum(HEADER + math.prod(self.shapes[file]) for file in files)


IDX_SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
IDX_FILES = tuple(IDX_SHAPES)
CIFAR10_FILES = (*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin")

ORIGINS: dict[str, Origin] = {
    "mnist": Origin(
        shapes=IDX_SHAPES,
        folders=("mnist", ".", "MNIST/raw"),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        downloads=tuple(f"{file}.gz" for file in IDX_FILES),
        digests={
            "train-images-idx3-ubyte": "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": Origin(
        shapes=IDX_SHAPES,
        folders=("fashion-mnist", "FashionMNIST/raw"),  # not the data folder itself: MNIST's files have the same names
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        downloads=tuple(f"{file}.gz" for file in IDX_FILES),
        digests={  # of the contents of the packed files whose MD5 the authors published
            "train-images-idx3-ubyte": "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "cifar10": Origin(
        shapes=dict.fromkeys(CIFAR10_FILES, (10_000, 1 + 3 * 32 * 32)),
        folders=("cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "."),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        downloads=("cifar-10-binary.tar.gz",),
        digests={  # of the archive by its authors, of the files by Apache MXNet
            "cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530",
            "data_batch_1.bin": "sha1:aadd24acce27caa71bf4b10992e9e7b2d74c2540",
            "data_batch_2.bin": "sha1:c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
            "data_batch_3.bin": "sha1:1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
            "data_batch_4.bin": "sha1:aab85764eb3584312d3c7f65fd2fd016e36a258e",
            "data_batch_5.bin": "sha1:26e2849e66a845b7f1e4614ae70f4889ae604628",
            "test_batch.bin": "sha1:67eb016db431130d61cd03c7ad570b013799c88c",
        },
    ),
}

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "fashion-mnist": (
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
"""Name of a data set -> class names, for data sets whose classes are not digits."""
