"""All benchmarks, one after the other: python -m benchmarks"""

from __future__ import annotations

from benchmarks import console, engine_throughput

if __name__ == "__main__":
    for benchmark in (engine_throughput, console):
        print(f"# {benchmark.__name__}")
        benchmark.main()
