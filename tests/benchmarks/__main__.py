"""`python -m tests.benchmarks [--only NAME] [--quick]`. Each benchmark runs in a process of its own: none inherits another's heap."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.table import Table, placed

BENCHMARKS = ("lag", "drift", "pace", "sdk", "poll", "scale", "durable", "start")
"""Modules of this package with `run(quick: bool) -> Table`, in the order of the document."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> int:
    """Run one, or each in its own process."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure, and write docs/benchmarks.md.")
    parser.add_argument("--only", choices=BENCHMARKS, help="run this one")
    parser.add_argument("--quick", action="store_true", help="small and rough: print the table and write nothing")
    options = parser.parse_args()
    if options.only is None:
        return max(_apart(name, options.quick) for name in BENCHMARKS)
    table: Table = importlib.import_module(f"tests.benchmarks.{options.only}").run(options.quick)
    print(table.markdown(), flush=True)
    if not options.quick:
        DOCUMENT.write_text(placed(DOCUMENT.read_text("utf-8"), options.only, table), "utf-8")
    return 0


def _apart(name: str, quick: bool) -> int:
    began = time.monotonic()
    words = [sys.executable, "-m", "tests.benchmarks", "--only", name, *(["--quick"] if quick else [])]
    code = subprocess.run(words, check=False).returncode
    print(f"{name}: {time.monotonic() - began:.0f} s" + (f", exit code {code}" if code else ""), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
