"""`python -m tests.benchmarks [--only NAME] [--quick]`. Each benchmark runs in a new process, so that none inherits another's heap."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.table import Table, with_section

BENCHMARKS = ("process", "lag", "drift", "hints", "restart", "pace", "sdk", "poll", "scale", "durable", "readers", "replicas", "start")
"""Modules of this package with `run(quick: bool) -> Table`, in the order of docs/benchmarks.md."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> int:
    """Run one benchmark, or each of them in a new process."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("--only", choices=BENCHMARKS, help="run this one")
    parser.add_argument("--quick", action="store_true", help="small and rough: print the table and write nothing")
    options = parser.parse_args()
    if options.only is None:
        return max(_run_separately(name, options.quick) for name in BENCHMARKS)
    table: Table = importlib.import_module(f"tests.benchmarks.{options.only}").run(options.quick)
    print(table.markdown(), flush=True)
    if not options.quick:
        DOCUMENT.write_text(with_section(DOCUMENT.read_text("utf-8"), options.only, table), "utf-8")
    return 0


def _run_separately(name: str, quick: bool) -> int:
    began = time.monotonic()
    arguments = [sys.executable, "-m", "tests.benchmarks", "--only", name, *(["--quick"] if quick else [])]
    code = subprocess.run(arguments, check=False).returncode
    print(f"{name}: {time.monotonic() - began:.0f} s" + (f", exit code {code}" if code else ""), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
