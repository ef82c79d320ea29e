"""What the watcher needs in calls, memory, and time, each compared with something else in the same run.

    python -m tests.benchmarks                      all benchmarks; writes the tables of docs/benchmarks.md (`make bench`)
    python -m tests.benchmarks --only lag           one benchmark
    python -m tests.benchmarks --only lag --quick   quick and rough: prints the table and does not write it

A benchmark is a module named in `__main__.BENCHMARKS` with `def run(quick: bool) -> Table`.
"""
