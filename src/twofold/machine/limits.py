"""What this process may use where a container, a batch system or a shell allows it less than the machine has.

Control groups are folders in file systems that Linux mounts for them: of version 1, one for each controller; of version
2, one for all. A process is in one group of each, and the limits of all groups around that hold too.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MEMORY = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.high", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Files of a group: how many bytes it may use, how many it uses, and the entry of ``memory.stat`` that says how many of
these are file cache, which goes when memory is short. Two limits of version 2, and the one of version 1."""

RESOURCES = (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData"))
"""Limits of a process on memory, as ``ulimit`` sets them, and the entry of ``/proc/self/status`` that counts there."""

UNLIMITED = 1 << 62
"""From here on a number of bytes is no limit, but how version 1 says that there is none."""

ROOT = Path("/")


def memory(root: Path = ROOT) -> list[int]:
    """How many bytes each limit on memory still leaves to this process; empty where there is none.

    Args:
        root: the folder that has ``proc`` and what is mounted.
    """
    left = []
    for group in _groups("memory", root):
        for limit_file, usage_file, cache in MEMORY:
            limit = _number(group / limit_file)
            if limit is not None and limit < UNLIMITED:
                usage = _number(group / usage_file) or 0
                left.append(limit - max(usage - _entry(group / "memory.stat", cache), 0))
    return [max(each, 0) for each in [*left, *_resources(root)]]


def processors(root: Path = ROOT) -> int:
    """How many processors this process can keep busy: those that it may run on, or fewer where a quota of their time,
    rounded up, is less; at least one."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota / period) for quota, period in _quotas(root) if quota > 0 and period > 0]
    return max(min([usable, *quotas]), 1)


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    """The microseconds of processor time that each group may use, and in how many microseconds."""
    for group in _groups("cpu", root):
        words = [*_lines(group / "cpu.max"), ""][0].split()
        if len(words) == 2 and all(word.isdecimal() for word in words):
            yield int(words[0]), int(words[1])
        yield _number(group / "cpu.cfs_quota_us") or 0, _number(group / "cpu.cfs_period_us") or 0


def _resources(root: Path) -> list[int]:
    """What each limit of ``RESOURCES`` leaves."""
    try:
        import resource
    except ImportError:  # on Windows
        return []
    left = []
    for name, counted in RESOURCES:
        limit = resource.getrlimit(getattr(resource, name))[0] if hasattr(resource, name) else resource.RLIM_INFINITY
        if limit != resource.RLIM_INFINITY:
            left.append(limit - 1024 * _entry(root / "proc/self/status", f"{counted}:"))
    return left


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the groups of this process, each with all that are around it, that may limit by a controller."""
    mine: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):  # 4:memory:/jobs/17, and of version 2: 0::/jobs/17
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        mine.update(dict.fromkeys(names.split(",") if number != "0" else ["version 2"], path))
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        where, what = place.split(), kind.split()
        if len(where) < 5 or len(what) < 3:
            continue
        name = {"cgroup": controller, "cgroup2": "version 2"}.get(what[0])
        if name in mine and (what[0] == "cgroup2" or controller in what[2].split(",")):
            yield from _upwards(root / _plain(where[4]).lstrip("/"), _plain(where[3]), mine[name])


def _upwards(mount: Path, top: str, path: str) -> Iterator[Path]:
    """The folders from a group up to the ``mount`` that shows the hierarchy from its group ``top`` on.

    A container may see its own group as the top and still be told the path that it has outside: then it is the top.
    """
    below = PurePosixPath(path).relative_to(top) if PurePosixPath(path).is_relative_to(top) else PurePosixPath()
    folder = mount / below if ".." not in below.parts else mount
    yield folder
    while folder != mount:
        folder = folder.parent
        yield folder


def _plain(path: str) -> str:
    r"""A path from ``mountinfo``, where a space is written as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _entry(path: Path, name: str) -> int:
    """The number after a name, in a file with a line for each; 0 where it has none."""
    for line in _lines(path):
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdecimal():
            return int(words[1])
    return 0


def _number(path: Path) -> int | None:
    """The number in a file; None where there is none, or a word such as ``max``."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where it is not there or must not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
