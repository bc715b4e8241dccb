"""The machine: what this process may use of it, and which device is meant.

Oracles: control groups of every kind, made up in a folder; the documented contract.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from support.helpers import refusal
from twofold import machine
from twofold.errors import SettingError
from twofold.machine import limits

CPU = torch.device("cpu")
GB = 10**9

# Limits --------------------------------------------------------------------------------------------------------------

V1 = "4:memory:{group}\n2:cpu,cpuacct:{group}\n1:name=systemd:/"
V1_MOUNTS = """\
22 1 0:20 / / rw - ext4 /dev/sda rw
31 22 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw
32 31 0:29 {top} /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
33 31 0:30 {top} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct"""
V2 = "0::{group}"
V2_MOUNTS = "29 22 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
HYBRID_MOUNTS = V1_MOUNTS + "\n34 31 0:31 {top} /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"


def made_up(root: Path, membership: str, mounts: str, files: dict[str, str], group: str = "/", top: str = "/") -> Path:
    """A folder that looks as the root of a system to a process in ``group``, where mounts begin at ``top``."""
    proc = {"proc/self/cgroup": membership.format(group=group), "proc/self/mountinfo": mounts.format(top=top)}
    for name, text in {**proc, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def v1(limit: int, usage: int, cache: int, at: str = "") -> dict[str, str]:
    folder = f"memory{at}"
    return {
        f"{folder}/memory.limit_in_bytes": str(limit),
        f"{folder}/memory.usage_in_bytes": str(usage),
        f"{folder}/memory.stat": f"cache 7\ninactive_file 1\ntotal_inactive_file {cache}\ntotal_active_file 5",
    }


def v2(limit: int | str, usage: int, cache: int, at: str = "", name: str = "memory.max") -> dict[str, str]:
    folder = f".{at}"
    return {
        f"{folder}/{name}": str(limit),
        f"{folder}/memory.current": str(usage),
        f"{folder}/memory.stat": f"anon 3\nfile 9\ninactive_file {cache}\nactive_file 5",
    }


MEMORY: dict[str, tuple[str, str, dict[str, str], dict[str, str], list[int]]] = {
    "version 1": (V1, V1_MOUNTS, {}, v1(4 * GB, 3 * GB, GB), [2 * GB]),
    "version 2": (V2, V2_MOUNTS, {}, v2(4 * GB, 3 * GB, GB), [2 * GB]),
    "hybrid": (f"{V1}\n{V2}", HYBRID_MOUNTS, {}, v1(4 * GB, 3 * GB, GB), [2 * GB]),
    "version 1 says that there is no limit": (V1, V1_MOUNTS, {}, v1(0x7FFFFFFFFFFFF000, GB, 0), []),
    "version 2 says that there is no limit": (V2, V2_MOUNTS, {}, v2("max", GB, 0), []),
    "slowed down from here on": (V2, V2_MOUNTS, {}, v2(3 * GB, GB, 0, name="memory.high"), [2 * GB]),
    "own group": (V1, V1_MOUNTS, {"group": "/a/b"}, v1(4 * GB, GB, 0, "/a/b"), [3 * GB]),
    "the group around": (V1, V1_MOUNTS, {"group": "/a/b"}, v1(4 * GB, GB, 0, "/a"), [3 * GB]),
    "the group around, version 2": (V2, V2_MOUNTS, {"group": "/a/b"}, v2(4 * GB, GB, 0, "/a"), [3 * GB]),
    "both": (
        *(V2, V2_MOUNTS, {"group": "/a/b"}),
        {**v2(4 * GB, GB, 0, "/a/b"), **v2(9 * GB, 7 * GB, 0, "/a")},
        [3 * GB, 2 * GB],
    ),
    "a container without a name space": (
        *(V1, V1_MOUNTS, {"group": "/docker/17/job", "top": "/docker/17"}),
        {**v1(4 * GB, GB, 0, "/job"), **v1(5 * GB, GB, 0)},
        [3 * GB, 4 * GB],
    ),
    "a path as it is outside": (V2, V2_MOUNTS, {"group": "/outside/17", "top": "/x"}, v2(4 * GB, GB, 0), [3 * GB]),
    "moved out of its own top": (V2, V2_MOUNTS, {"group": "/../other"}, v2(4 * GB, GB, 0), [3 * GB]),
    "a name with a space": (V2, V2_MOUNTS, {"group": "/a b", "top": r"/a\040b"}, v2(4 * GB, GB, 0), [3 * GB]),
    "a neighbor's limit": (V2, V2_MOUNTS, {"group": "/mine"}, v2(GB, 0, 0, "/other"), []),
    "full": (V2, V2_MOUNTS, {}, v2(4 * GB, 5 * GB, 0), [0]),
    "more cache than use": (V2, V2_MOUNTS, {}, v2(4 * GB, GB, 2 * GB), [4 * GB]),
    "no count of what is used": (V2, V2_MOUNTS, {}, {"memory.max": str(4 * GB)}, [4 * GB]),
    "no files": (V2, V2_MOUNTS, {}, {}, []),
    "garbage in a limit": (V2, V2_MOUNTS, {}, v2("-?-", GB, 0), []),
    "garbage everywhere": ("memory\n:\n4:\n\n0:", "31\n- - -\n1 2 3 4 5 - cgroup\n - \n", {}, v1(GB, 0, 0), []),
}


@pytest.mark.parametrize("case", MEMORY)
def test_every_limit_on_the_memory_of_a_group_leaves_what_is_not_used(case: str, tmp_path: Path) -> None:
    """Taken for free, memory beyond the limit of a container ends the training by a kill that nobody explains."""
    membership, mounts, place, files, left = MEMORY[case]
    assert limits.memory(made_up(tmp_path, membership, mounts, files, **place)) == left


def test_a_system_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    assert limits.memory(tmp_path) == []
    assert limits.processors(tmp_path) == limits.processors(tmp_path / "nothing") >= 1


@pytest.mark.parametrize(("name", "counted"), limits.RESOURCES)
def test_a_limit_of_the_shell_leaves_what_is_not_used(
    name: str, counted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text(f"Name:\tpython\n{counted}:\t  1000 kB\nVmLib:\t 5 kB\n")
    soft = {getattr(resource, name): 3_024_000}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft.get(kind, resource.RLIM_INFINITY), -1))
    assert limits.memory(tmp_path) == [2_000_000]


def test_free_memory_is_the_least_of_what_the_machine_and_the_limits_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5 * GB))
    for left, free in (([], 5), ([7 * GB], 5), ([7 * GB, 2 * GB], 2)):
        monkeypatch.setattr(limits, "memory", lambda left=left: left)
        assert machine.free_memory(CPU) == free * GB
    with pytest.raises(
        SettingError, match=r"needs about 3\.0 GB of memory in addition to the data, but 2\.0 GB are free"
    ):
        machine.require_memory(3 * GB, CPU)


def quota(of: str, period: str = "100000", at: str = "") -> dict[str, str]:
    return {f"cpu,cpuacct{at}/cpu.cfs_quota_us": of, f"cpu,cpuacct{at}/cpu.cfs_period_us": period}


PROCESSORS: dict[str, tuple[str, str, dict[str, str], dict[str, str], int]] = {
    "no quota": (V1, V1_MOUNTS, {}, quota("-1"), 8),
    "version 1": (V1, V1_MOUNTS, {}, quota("300000"), 3),
    "version 2": (V2, V2_MOUNTS, {}, {"cpu.max": "150000 50000"}, 3),
    "no quota in version 2": (V2, V2_MOUNTS, {}, {"cpu.max": "max 100000"}, 8),
    "rounded up": (V2, V2_MOUNTS, {}, {"cpu.max": "210000 100000"}, 3),
    "less than one": (V2, V2_MOUNTS, {}, {"cpu.max": "20000 100000"}, 1),
    "more than there are": (V2, V2_MOUNTS, {}, {"cpu.max": "6400000 100000"}, 8),
    "the group around": (V2, V2_MOUNTS, {"group": "/a/b"}, {"a/b/cpu.max": "max 9", "a/cpu.max": "4 2"}, 2),
    "the group around, version 1": (V1, V1_MOUNTS, {"group": "/a/b"}, quota("200000", at="/a"), 2),
    "hybrid": (f"{V1}\n{V2}", HYBRID_MOUNTS, {}, quota("200000"), 2),
    "a period of nothing": (V1, V1_MOUNTS, {}, quota("200000", "0"), 8),
    "no period": (V1, V1_MOUNTS, {}, {"cpu,cpuacct/cpu.cfs_quota_us": "200000"}, 8),
    "garbage": (V2, V2_MOUNTS, {}, {"cpu.max": "two of them"}, 8),
    "an empty file": (V2, V2_MOUNTS, {}, {"cpu.max": ""}, 8),
}


@pytest.mark.parametrize("case", PROCESSORS)
def test_as_many_processors_can_be_kept_busy_as_the_quota_of_their_time_allows(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    membership, mounts, place, files, usable = PROCESSORS[case]
    assert limits.processors(made_up(tmp_path, membership, mounts, files, **place)) == usable


def test_processors_that_this_process_may_not_run_on_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 7}, raising=False)
    assert limits.processors(tmp_path) == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on Windows and macOS
    for count, usable in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert limits.processors(tmp_path) == usable


@pytest.mark.parametrize(
    ("usable", "stated", "threads"),
    [(1, "", 1), (2, "", 2), (4, "", 2), (1, "OMP_NUM_THREADS", 2), (1, "MKL_NUM_THREADS", 2)],
)
def test_threads_follow_the_processors_unless_the_environment_states_them(
    usable: int, stated: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More threads than processors wait for each other at every product; more than were asked for are never taken."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if stated:
        monkeypatch.setenv(stated, "2")
    monkeypatch.setattr(limits, "processors", lambda: usable)
    torch.set_num_threads(2)
    try:
        machine.limit_threads()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


# Devices -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "gpus", "apple", "device"),
    [
        *((name, 0, False, "cpu") for name in ("cpu", "cpu:0", CPU, "auto")),
        *((name, 2, False, "cuda") for name in ("auto", "cuda")),
        *((name, 2, False, "cuda:1") for name in ("cuda:1", torch.device("cuda", 1))),
        *((name, 0, True, "mps") for name in ("auto", "mps")),
        *(("auto", 1, True, "cuda"), ("mps:0", 1, True, "mps"), ("cpu", 0, True, "cpu")),
    ],
)
def test_a_device_is_taken_by_its_name_and_as_itself(
    name: str | torch.device, gpus: int, apple: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    assert machine.choose_device(name) == torch.device(device)


@pytest.mark.parametrize(
    ("name", "count", "line"),
    [
        ("cuda", 0, "--device is cuda, but torch finds no CUDA device: use --device cpu"),
        (torch.device("cuda", 1), 0, "--device is cuda:1, but torch finds no CUDA device: use --device cpu"),
        ("cuda:2", 2, "--device is cuda:2, but the last CUDA device is cuda:1: use that or cuda"),
        ("mps", 0, "--device is mps, but torch finds no Apple GPU: use --device cpu"),
        ("cdua", 0, "unknown device 'cdua': did you mean 'cuda'?"),
        ("", 0, "unknown device '': choose one of: auto, cpu, cuda, mps"),
        (torch.device("meta"), 0, "unknown device 'meta': choose one of: auto, cpu, cuda, mps"),
    ],
)
def test_a_device_that_is_not_there_is_told_in_one_line(
    name: str | torch.device, count: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert refusal(lambda: machine.choose_device(name), SettingError) == line


def test_apples_gpus_compute_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """And share the memory of the processor."""
    apples = torch.device("mps")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert not machine.has_doubles(apples)
    assert machine.has_doubles(CPU)
    assert machine.choose_precision("auto", apples) == "fp32"
    assert "--precision is bf16" in refusal(lambda: machine.choose_precision("bf16", apples), SettingError)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5 * GB))
    monkeypatch.setattr(limits, "memory", list)
    assert machine.free_memory(apples) == 5 * GB
