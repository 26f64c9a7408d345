"""All benchmarks, one after the other: python -m benchmarks"""

from __future__ import annotations

from benchmarks import (
    chaos,
    console,
    engine_throughput,
    far_console,
    fleet,
    history,
    idle,
    many_tables,
    mysql,
    postgres,
    postgres_bloat,
    processes,
    sqlite,
)

if __name__ == "__main__":
    for benchmark in (
        engine_throughput,
        console,
        history,
        processes,
        idle,
        sqlite,
        many_tables,
        fleet,
        far_console,
        postgres,
        postgres_bloat,
        mysql,
        chaos,
    ):
        print(f"# {benchmark.__name__}")
        benchmark.main()
