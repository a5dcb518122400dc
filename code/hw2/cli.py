"""Command line of the project: `python -m hw2 verify`, `python -m hw2 inspect report/hw2.pdf`."""

import argparse
import sys
import textwrap
from pathlib import Path

from hw2 import claims, inspect


def verify(only: str) -> int:
    """Check all claims, print a table, return 1 if anything is wrong."""
    header = f"{'':2}{'label':<26} {'statement':<58} {'tied':<8} {'mutants':>7} {'seconds':>8}"
    print(header + "\n" + "-" * len(header))
    found, faults = [], claims.unclaimed(only)
    for verdict in claims.examine_all(only):
        item = verdict.claim
        found.append(verdict)
        mark, mutants = "✓" if verdict.holds else "✗", f"{verdict.refuted}/{len(item.mutants)}"
        statement = textwrap.shorten(item.statement, 58)
        print(f"{mark} {item.label:<26} {statement:<58} {verdict.tie:<8} {mutants:>7} {verdict.seconds:>8.2f}")
        print(f"{'':29}by {item.method}; {item.domain}", flush=True)
        faults += [f"{item.label}: {fault}" for fault in verdict.faults]
    if not found and not faults:
        print(f"no claim matches {only!r}; labels look like eq-q6-conv, give q6 or a whole label", file=sys.stderr)
        return 1
    tied = sum(verdict.tie != "no" for verdict in found)
    mutants = f"{sum(v.refuted for v in found)} of {sum(len(v.claim.mutants) for v in found)} mutants refuted"
    print("-" * len(header))
    print(f"{sum(v.holds for v in found)} of {len(found)} claims hold, {mutants}, {tied} tied to the page's equation, "
          f"{sum(v.seconds for v in found):.1f} s")  # fmt: skip
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


def inspect_pdf(pdf: Path) -> int:
    """Check a rendered report, return 1 if anything is wrong."""
    if not pdf.is_file():
        print(f"error: {pdf}: no such file; render it with `make pdf`", file=sys.stderr)
        return 1
    faults = inspect.faults(pdf)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if not faults:
        print(f"{pdf}: all sections there, all references resolved, all labels referred to")
    return 1 if faults else 0


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run it. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="hw2", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("verify", help="check every derivation and the wrong versions it must refute")
    command.add_argument("--only", default="", metavar="PART", help="a part of the labels, such as q6, or one label")
    command = commands.add_parser("inspect", help="check a rendered PDF for missing sections and open references")
    command.add_argument("pdf", type=Path)
    options = parser.parse_args(arguments)
    return verify(options.only) if options.command == "verify" else inspect_pdf(options.pdf)
