"""Free memory and processors of the machine, and what one thread reads, writes and allocates."""

from __future__ import annotations

import mmap
import os
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from engine.system.mounts import Mount
from engine.targets.sqlite.system.machine import (
    available_memory,
    field,
    groups_around,
    memory_left,
    memory_touched,
    processors,
    processors_allowed,
    thread_io,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")

MB = 1_000_000


def group(directory: Path, **files: object) -> Path:
    """A control group with files such as `memory.max`, written here with `_` for the dot."""
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("_", ".", 1)).write_text(f"{content}\n")
    return directory


def test_a_field_is_read_with_and_without_a_colon() -> None:
    text = "MemTotal:       24684084 kB\nMemAvailable:   24206308 kB\nactive_file 7\ninactive_file 16584704\n"
    assert field(text, "MemAvailable") == 24206308
    assert field(text, "inactive_file") == 16584704
    assert field(text, "file") is None


def directories(text: str, controller: str, *mounts: Mount) -> list[str]:
    return [str(path) for path in groups_around(text, mounts, controller)]


def test_our_group_and_those_around_it_are_found_in_both_versions() -> None:
    text = "4:memory:/a/b\n1:cpu,cpuacct:/c\n0::/d\n"
    mounts = (
        Mount(1, "/", "/cg/memory", "cgroup", frozenset({"rw", "memory"})),
        Mount(2, "/", "/cg/cpu", "cgroup", frozenset({"rw", "cpu", "cpuacct"})),
        Mount(3, "/", "/cg/unified", "cgroup2", frozenset({"rw"})),
        Mount(4, "/", "/memory", "tmpfs", frozenset({"rw", "memory"})),
    )
    unified = ["/cg/unified/d", "/cg/unified"]
    assert directories(text, "memory", *mounts) == ["/cg/memory/a/b", "/cg/memory/a", "/cg/memory", *unified]
    assert directories(text, "cpu", *mounts) == ["/cg/cpu/c", "/cg/cpu", *unified]
    assert directories("0::/x:y\n", "cpu", mounts[2]) == ["/cg/unified/x:y", "/cg/unified"]


def test_in_a_container_the_groups_start_at_what_is_mounted() -> None:
    mount = Mount(1, "/docker/4711", "/cg/memory", "cgroup", frozenset({"memory"}))
    assert directories("4:memory:/docker/4711/x\n", "memory", mount) == ["/cg/memory/x", "/cg/memory"]
    assert directories("4:memory:/docker/4711\n", "memory", mount) == ["/cg/memory"]
    assert directories("4:memory:/elsewhere\n", "memory", mount) == ["/cg/memory"]


def test_the_memory_of_a_group_is_its_limit_without_what_is_used_and_cannot_be_taken_back(tmp_path: Path) -> None:
    statistics = f"anon {30 * MB}\ninactive_file {20 * MB}\nactive_file {10 * MB}"
    second = group(tmp_path / "2", memory_max=100 * MB, memory_high="max", memory_current=60 * MB)
    assert memory_left(second) == 40 * MB
    (second / "memory.stat").write_text(statistics)
    assert memory_left(second) == 60 * MB
    (second / "memory.high").write_text(f"{70 * MB}\n")
    assert memory_left(second) == 30 * MB
    first = group(
        tmp_path / "1",
        memory_limit_in_bytes=100 * MB,
        memory_usage_in_bytes=60 * MB,
        memory_stat="total_inactive_file 5",
    )
    assert memory_left(first) == 40 * MB + 5


def test_a_group_without_a_limit_has_none_and_one_above_it_has_nothing_left(tmp_path: Path) -> None:
    assert memory_left(tmp_path / "nowhere") is None
    assert memory_left(group(tmp_path / "a", memory_max="max", memory_high="max", memory_current=5)) is None
    assert memory_left(group(tmp_path / "b", memory_max=4, memory_current=5)) == 0
    assert memory_left(group(tmp_path / "c", memory_max=4, memory_current=0)) == 4


@pytest.mark.parametrize(
    ("files", "allowed"),
    [
        ({"cpu_max": "max 100000"}, None),
        ({"cpu_max": "200000 100000"}, 2),
        ({"cpu_max": "150000 100000"}, 2),
        ({"cpu_max": "5000 100000"}, 1),
        ({"cpu_cfs_quota_us": -1, "cpu_cfs_period_us": 100000}, None),
        ({"cpu_cfs_quota_us": 250000, "cpu_cfs_period_us": 100000}, 3),
        ({}, None),
    ],
)
def test_the_processors_of_a_group_are_rounded_up(
    tmp_path: Path, files: dict[str, object], allowed: int | None
) -> None:
    assert processors_allowed(group(tmp_path, **files)) == allowed


def test_there_is_a_processor_and_never_more_than_the_machine_has() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)


@linux_only
def test_processors_that_we_may_not_use_do_not_count() -> None:
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(ours)})
    try:
        assert processors() == 1
    finally:
        os.sched_setaffinity(0, ours)


@linux_only
def test_memory_is_available_and_never_more_than_the_machine_has() -> None:
    available = available_memory()
    assert available is not None
    assert 0 < available <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@linux_only
def test_what_a_thread_reads_and_writes_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "file"
    done, leave = threading.Event(), threading.Event()

    def work() -> None:
        file.write_bytes(bytes(2 * MB))
        file.read_bytes()
        file.read_bytes()
        done.set()
        leave.wait()

    thread = threading.Thread(target=work)
    before = thread_io(threading.get_native_id())
    thread.start()
    try:
        done.wait()
        counted, after = thread_io(thread.native_id or 0), thread_io(threading.get_native_id())
    finally:
        leave.set()
        thread.join()
    assert before is not None
    assert after is not None
    assert after[0] - before[0] < MB
    assert counted is not None
    assert 4 * MB <= counted[0] < 5 * MB
    assert 2 * MB <= counted[1] < 3 * MB


@linux_only
def test_a_thread_that_is_not_ours_tells_nothing() -> None:
    assert thread_io(1 if os.getpid() != 1 else 2) is None


@linux_only
def test_memory_that_a_thread_touches_first_is_its_own_and_counts_once() -> None:
    touched: list[int | None] = []

    def work() -> None:
        thread = threading.get_native_id()
        with mmap.mmap(-1, 50 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            memory.madvise(mmap.MADV_NOHUGEPAGE)
            for _ in range(2):
                touched.append(memory_touched(thread))
                for page in range(0, len(memory), mmap.PAGESIZE):
                    memory[page] = 1
            touched.append(memory_touched(thread))

    thread, before = threading.Thread(target=work, name="its (name) is no number"), own_touched()
    thread.start()
    thread.join()
    first, once, twice = (number or 0 for number in touched)
    assert 50 * MB <= once - first < 52 * MB
    assert twice - once < 2 * MB
    assert own_touched() - before < 5 * MB


@linux_only
def test_trap_what_goes_into_a_temporary_file_without_a_name_counts_as_written() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript("PRAGMA temp_store = FILE; CREATE TEMP TABLE big(x); PRAGMA temp.cache_size = 10;")
        before = thread_io(threading.get_native_id())
        db.execute("INSERT INTO big VALUES (zeroblob(3000000))")
        after = thread_io(threading.get_native_id())
    assert before is not None
    assert after is not None
    assert 3 * MB * 0.9 <= after[1] - before[1] < 4 * MB


def own_touched() -> int:
    return memory_touched(threading.get_native_id()) or 0


def test_of_a_thread_that_is_gone_nothing_is_known() -> None:
    assert memory_touched(2**22 + 1) is None
    assert thread_io(2**22 + 1) is None
