"""Limits of the memory and processors of this process, set by a container, a batch system or a shell.

On Linux, limits are set by control groups (cgroups), which are folders in special file systems. In cgroup version 1,
each controller, such as ``memory`` or ``cpu``, has its own file system; in version 2, all controllers share one file
system. A process belongs to one control group in each file system. The limits of all parent groups apply, too.
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
"""Where a control group states a memory limit. Each row has the name of the file with the limit, the name of the file
with the memory usage, and the entry of ``memory.stat`` with the reclaimable file cache. All are in bytes. The usage
includes the file cache. The first two rows are for cgroup version 2, and the last row is for version 1.
"""

RESOURCES = (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData"))
"""Memory limits of a process, as set by ``ulimit``. Each row has the name of the limit in Python's module ``resource``
and the entry of ``/proc/self/status`` with the memory usage to which the limit applies.
"""

UNLIMITED = 1 << 62
"""Memory limits of at least this number of bytes mean no limit. Version 1 of control groups reports such numbers."""

ROOT = Path("/")


def memory(root: Path = ROOT) -> list[int]:
    """Return the number of bytes that this process may still use under each of its memory limits.

    Args:
        root: root of the file system, which contains ``proc``.

    Returns:
        One number per limit; empty if there are no limits.
    """
    left = []
    for group in _groups("memory", root):
        for limit_file, usage_file, cache in MEMORY:
            limit = _number(group / limit_file)
            if limit is not None and limit < UNLIMITED:
                usage = _number(group / usage_file) or 0
                left.append(limit - max(usage - _entry(group / "memory.stat", cache), 0))
    return [max(free, 0) for free in [*left, *_resources(root)]]


def processors(root: Path = ROOT) -> int:
    """Return the number of processors that this process can use at the same time, at least 1.

    The result is the smaller of two numbers: the number of processors on which the process may run, and the quota of
    processor time divided by the period of the quota, rounded up.

    Args:
        root: root of the file system, which contains ``proc``.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota / period) for quota, period in _quotas(root) if quota > 0 and period > 0]
    return max(min([usable, *quotas]), 1)


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    """Yield, for each control group of this process, the quota of processor time per period, and the period.

    The quota and the period are in microseconds.
    """
    for group in _groups("cpu", root):
        words = [*_lines(group / "cpu.max"), ""][0].split()
        if len(words) == 2 and all(word.isdecimal() for word in words):
            yield int(words[0]), int(words[1])
        yield _number(group / "cpu.cfs_quota_us") or 0, _number(group / "cpu.cfs_period_us") or 0


def _resources(root: Path) -> list[int]:
    """Return the number of bytes that this process may still use under each limit in `RESOURCES` that is set."""
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
    """Yield the folder of each control group whose limits apply to this process, including parent groups.

    Args:
        controller: type of the limits, ``memory`` or ``cpu``.
        root: root of the file system, which contains ``proc``.
    """
    paths: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):  # version 1: 4:memory:/jobs/17, version 2: 0::/jobs/17
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        paths.update(dict.fromkeys(names.split(",") if number != "0" else ["version 2"], path))
    for line in _lines(root / "proc/self/mountinfo"):
        mount_text, _, system_text = line.partition(" - ")
        mount, system = mount_text.split(), system_text.split()
        if len(mount) < 5 or len(system) < 3:
            continue
        name = {"cgroup": controller, "cgroup2": "version 2"}.get(system[0])
        if name in paths and (system[0] == "cgroup2" or controller in system[2].split(",")):
            yield from _upwards(root / _unescape(mount[4]).lstrip("/"), _unescape(mount[3]), paths[name])


def _upwards(mount: Path, top: str, path: str) -> Iterator[Path]:
    """Yield the folders of a control group and its parents, up to the folder ``mount``.

    In a container the kernel may report the path of the group on the host. Such a path is treated as the root group.

    Args:
        mount: folder at which the file system of the control groups is mounted.
        top: control group that the folder ``mount`` represents.
        path: path of the control group.
    """
    below = PurePosixPath(path).relative_to(top) if PurePosixPath(path).is_relative_to(top) else PurePosixPath()
    folder = mount / below if ".." not in below.parts else mount
    yield folder
    while folder != mount:
        folder = folder.parent
        yield folder


def _unescape(path: str) -> str:
    r"""Replace octal escapes in a path from ``/proc/self/mountinfo``, where a space is written as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _entry(path: Path, name: str) -> int:
    """Return the number after ``name`` in a file with lines such as ``NAME 123``; 0 if there is no such line."""
    for line in _lines(path):
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdecimal():
            return int(words[1])
    return 0


def _number(path: Path) -> int | None:
    """Return the number in a file; ``None`` if the file is missing or contains a word such as ``max``."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file, or an empty list if the file is missing or unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
