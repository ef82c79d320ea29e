"""What calls, memory and time the watcher needs, each against something else within the same run.

    python -m tests.benchmarks                      all of it, tables into docs/benchmarks.md (`make bench`)
    python -m tests.benchmarks --only lag           one of them
    python -m tests.benchmarks --only lag --quick   small and rough, printed and not written

A benchmark is a module named in `__main__.BENCHMARKS` with `def run(quick: bool) -> Table`.
"""
