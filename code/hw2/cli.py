"""Command line of the project: `python -m hw2 verify`, `python -m hw2 run magic`,
`python -m hw2 audit`.

Each command imports what it needs: all of it together takes seconds.
"""

import argparse
import io
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

GOOD, BAD = "\N{CHECK MARK}", "\N{BALLOT X}"
KEY = "an experiment, such as magic/final, or a task, such as magic; without one, all"
STORAGE = (
    "a data base or SQLite file, the same for all workers (default: "
    "$HW2_STORAGE, or .build/search.db)"
)


def verify(only: str, anew: bool = False) -> int:
    """Check all claims, print a table, return 1 if anything is wrong.

    A claim is not checked again where it, its code and the page are as they were when
    it was found to hold, unless all are to be checked `anew`.
    """
    if anew:
        os.environ["HW2_KEEP"] = "0"
    from hw2 import claims

    header = (
        f"{'':2}{'label':<26} {'statement':<58} {'tied':<8} {'mutants':>7} "
        f"{'seconds':>8}"
    )
    print(header + "\n" + "-" * len(header))
    found, faults = [], claims.unclaimed(only)
    for verdict in claims.examine_all(only):
        item = verdict.claim
        found.append(verdict)
        mark, mutants = (
            GOOD if verdict.holds else BAD,
            f"{verdict.refuted}/{len(item.mutants)}",
        )
        statement = textwrap.shorten(item.statement, 58)
        print(
            f"{mark} {item.label:<26} {statement:<58} {verdict.tie:<8} {mutants:>7} "
            + ("    kept" if verdict.kept else f"{verdict.seconds:>8.2f}")
        )
        print(f"{'':29}by {item.method}; {item.domain}", flush=True)
        faults += [f"{item.label}: {fault}" for fault in verdict.faults]
    if not found and not faults:
        print(
            (
                f"no claim matches {only!r}; labels look like eq-q6-conv, give q6 or a "
                "whole label"
            ),
            file=sys.stderr,
        )
        return 1
    tied = sum(verdict.tie != "no" for verdict in found)
    mutants = (
        f"{sum(v.refuted for v in found)} of "
        f"{sum(len(v.claim.mutants) for v in found)} mutants refuted"
    )
    print("-" * len(header))
    print(f"{sum(v.holds for v in found)} of {len(found)} claims hold, {mutants}, "
          f"{tied} tied to the page's equation, "
          f"{sum(v.seconds for v in found if not v.kept):.1f} s")  # fmt: skip
    if kept := sum(v.kept for v in found):
        print(
            f"kept: {kept} were checked before, with the same code, page and versions; "
            "make verify ANEW=1 checks them again"
        )
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


def inspect_pdf(pdf: Path) -> int:
    """Check a rendered report, return 1 if anything is wrong."""
    from hw2 import pdf_check

    if not pdf.is_file():
        print(f"error: {pdf}: no such file; render it with `make pdf`", file=sys.stderr)
        return 1
    faults = pdf_check.faults(pdf)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if not faults:
        print(
            f"{pdf}: all sections there, on the pages that the contents say, all "
            "references resolved, all labels there once and referred to, no caption "
            "twice, no drawing as pixels"
        )
    return 1 if faults else 0


def run(parts: list[str], force: bool) -> int:
    """Train the selected experiments whose recorded run is missing or stale, return 1
    if one failed.
    """
    from hw2 import experiments
    from hw2.data import DataError
    from hw2.runs import RunError
    from hw2.searching import SearchError
    from hw2.training import TrainingError

    try:
        keys = experiments.select(parts)
    except RunError as error:
        return _fail(error)
    status = 0
    for key in keys:
        reason = "asked to" if force else experiments.outdated(key)
        if not reason:
            print(f"{key}: nothing to do, the recorded run is what today's code gives")
            continue
        print(f"{key}: training, {reason}", flush=True)
        try:
            found = experiments.record(key, fresh=force)
        except (DataError, RunError, SearchError, TrainingError, OSError) as error:
            status = _fail(f"{key}: {error}")
            continue
        results = [
            f"{name} {100 * value['mean']:.2f} ± {100 * value['std']:.2f} %"
            for name, value in found.summary.items()
            if "accuracy" in name and isinstance(value, dict)
        ]
        print(
            ", ".join(
                [f"{key}: recorded", *results, f"{found.provenance['seconds']:.1f} s"]
            ),
            flush=True,
        )
    return status


def audit(parts: list[str]) -> int:
    """Audit the selected recorded runs, print a table, return 1 if anything is wrong or
    nothing could be audited.
    """
    os.environ["HW2_KEEP"] = "0"  # canaries too
    from hw2 import experiments, runs
    from hw2.data import DataError

    try:
        keys = experiments.select(parts)
    except runs.RunError as error:
        return _fail(error)
    width = max(map(len, keys))
    header = (
        f"{'':2}{'run':<{width}} {'number':<24} {'seeds':>5} {'recorded':>9} "
        f"{'again':>9} {'difference':>10}"
    )
    print(header + "\n" + "-" * len(header))
    faults, absent, audited = [], [], 0
    for key in keys:
        try:
            comparisons = experiments.audit(key)
        except DataError as error:
            print(f"- {key:<{width}} not audited, its data is not at hand", flush=True)
            absent.append(f"{key} is not audited: {error}")
            continue
        except runs.RunError as error:
            print(f"{BAD} {key:<{width}} refused", flush=True)
            faults.append(f"{key}: {error}")
            continue
        found = runs.load(*key.split("/"))
        print(f"{GOOD} {key:<{width}} canary agrees")
        for item in comparisons:
            means = f"{fmean(item.recorded):>9.5f} {fmean(item.again):>9.5f}"
            mark = GOOD if item.holds else BAD
            print(
                (
                    f"{mark} {key:<{width}} {item.number:<24} {len(item.again):>5} "
                    f"{means} "
                    f"{item.difference:>10.1e}"
                ),
                flush=True,
            )
        if others := sorted(set(found.summary) - {item.number for item in comparisons}):
            print(f"{'':{width + 3}}not recomputed: {', '.join(others)}")
        faults += experiments.mismatches(found, comparisons)
        audited += 1
    print("-" * len(header))
    print(
        f"{audited} of {len(keys)} runs audited; a number of a seed may differ by "
        f"{experiments.TOLERANCE}"
    )
    for message in absent:
        print(message, file=sys.stderr)
    for fault in faults:
        _fail(fault)
    return 1 if faults or not audited else 0


def search(storage: str | None, trials: int | None) -> int:
    """Search the hyper-parameters of Task 2's network, return 1 where the data is
    missing or the storage unfit.
    """
    from hw2 import searching
    from hw2.data import DataError
    from hw2.tasks import magic_search

    try:
        magic_search.search(
            storage or searching.default_storage(),
            trials or magic_search.NETWORK.trials,
        )
    except (DataError, searching.SearchError) as error:
        return _fail(error)
    return 0


def bench() -> int:
    """Measure the speed of Task 3's training and of the usual ways, return 1 where the
    data is missing.
    """
    from hw2 import bench
    from hw2.data import DataError
    from hw2.runs import RunError

    try:
        run = bench.measure()
    except (DataError, RunError, OSError) as error:
        return _fail(error)
    print(f"{run.provenance['device']}:\n{bench.table([run])}\n{bench.to_target(run)}")
    print(
        f"ours reaches {run.summary['share_of_limit']:.0%} of the rate of a matrix "
        f"product; recorded in {run.file}"
    )
    return 0


def submission(pdf: Path, draft: bool) -> int:
    """Write the archive that is handed in, return 1 where something is missing or the
    IDs are none.
    """
    from hw2 import submission
    from hw2.runs import RunError
    from qmdpdf.source import QmdError

    if not pdf.is_file():
        return _fail(f"{pdf}: no such file; render it with `make pdf`")
    try:
        target = submission.submit(pdf, draft)
    except (
        OSError,
        QmdError,
        RunError,
        submission.SubmissionError,
        ValueError,
    ) as error:
        return _fail(error)
    print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
    return 0


def _fail(message: object) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run it. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="hw2", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    def add(
        name: str, call: Callable[..., int], summary: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        command.set_defaults(call=call)
        return command

    command = add(
        "verify", verify, "check every derivation and the wrong versions it must refute"
    )
    command.add_argument(
        "--only",
        default="",
        metavar="PART",
        help="a part of the labels, such as q6, or one label",
    )
    command.add_argument(
        "--anew",
        action="store_true",
        help="check also what was checked before with the same code and page",
    )
    command = add(
        "inspect",
        inspect_pdf,
        "check a rendered PDF: sections, contents, references, captions, figures",
    )
    command.add_argument("pdf", type=Path)
    command = add(
        "run",
        run,
        (
            "train the experiments whose recorded run is missing or stale; a killed "
            "training goes on"
        ),
    )
    command.add_argument("parts", nargs="*", metavar="KEY", help=KEY)
    command.add_argument(
        "--force",
        action="store_true",
        help="train also what is good, and from the start",
    )
    command = add(
        "audit",
        audit,
        "check the canaries of the recorded runs, and evaluate their weights again",
    )
    command.add_argument("parts", nargs="*", metavar="KEY", help=KEY)
    command = add(
        "search",
        search,
        "search the hyper-parameters of Task 2's network on validation data",
    )
    command.add_argument("--storage", metavar="URL_OR_FILE", help=STORAGE)
    command.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help="trials in all (default: as many as the report's)",
    )
    add(
        "bench",
        bench,
        (
            "measure the speed of Task 3's training beside the usual ways, and record "
            "it "
            "for this machine"
        ),
    )
    command = add(
        "submission",
        submission,
        (
            "write the archive to hand in: the report as a notebook that stands alone, "
            "and "
            "the PDF"
        ),
    )
    command.add_argument("pdf", type=Path)
    command.add_argument(
        "--draft", action="store_true", help="accept IDs that are none"
    )
    options = vars(parser.parse_args(arguments))
    del options["command"]
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # in a locale without UTF-8 a tick becomes a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return options.pop("call")(**options)
