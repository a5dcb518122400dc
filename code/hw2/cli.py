"""Command line of the project: `python -m hw2 verify`, `python -m hw2 run magic`,
`python -m hw2 audit`.

Each command imports what it needs: all of it together takes seconds.
"""

import argparse
import io
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hw2 import experiments, runs

GOOD, BAD = "\N{CHECK MARK}", "\N{BALLOT X}"
KEY = "an experiment, such as magic/final, or a task, such as magic; without one, all"
STORAGE = (
    "a data base or SQLite file, the same for all workers (default: "
    "$HW2_STORAGE, or .build/search.db)"
)


def verify(only: str, anew: bool = False, survivors: bool = False) -> int:
    """Judge all formulas of the page and check all claims, print two tables, return 1
    if anything is wrong.

    What was judged before is not judged again where page, code and versions are as they
    were, unless all is to be checked `anew`. With `survivors` the wrong versions that
    no instance refutes are listed too.
    """
    if anew:
        os.environ["HW2_KEEP"] = "0"
    from hw2.seals import SealError
    from qmdpdf.source import QmdError

    try:
        return _verify(only, survivors)
    except (QmdError, SealError) as error:
        return _fail(error)


def _verify(only: str, survivors: bool) -> int:
    """What `verify` prints and returns, where pages and seals can be read."""
    from hw2 import claims, kept
    from hw2.formulas import report
    from hw2.workers import workers

    start, known = time.perf_counter(), kept.folder()
    with workers(soon=not only and not (known and known.exists())) as begin:
        sections = report.judge_all(only, begin)
        verdicts = claims.examine_all(only, begin)
        faults = claims.unclaimed(only) + _labels_and_seals(only)
        if not sections and not verdicts and not faults:
            return _fail(
                f"nothing matches {only!r}; give a section such as q6, or a whole label"
            )
        judged, more = _verify_formulas(sections, survivors)
        found, others = _verify_claims(verdicts, survivors)
    if judged and found:
        labels = {verdict.claim.label for verdict in found}
        print(f"{report.without_claim(judged, labels)}\n")
    faults += more + others
    print(f"{time.perf_counter() - start:.1f} s")
    for fault in faults:
        _fail(fault)
    return 1 if faults else 0


def _labels_and_seals(only: str) -> list[str]:
    """Labels that are defined twice or referred to and not there or not in their order,
    and wordings that have changed since they were sealed.
    """
    from hw2 import pdf_check, seals
    from hw2.formulas.collecting import lone_dollars, section_of
    from hw2.paths import REPORT
    from qmdpdf.source import expand

    lines = expand(REPORT)
    broken = [
        message
        for sentence, message in seals.broken(seals.pages())
        if not only or section_of(sentence.where) in (only, "")  # "" of no section
    ]
    references = pdf_check.unknown(lines) + pdf_check.uncited(lines)
    references += pdf_check.disordered(lines) + lone_dollars(lines)
    return pdf_check.repeated_labels(lines) + references + broken


def _verify_formulas(
    sections: list[Callable[[], Any]], survivors: bool
) -> tuple[list[Any], list[str]]:
    """The sections' findings, printed as they come, and what is wrong."""
    from hw2.formulas import report

    header = (
        f"{'':2}{'section':<8} {'formulas':>8} {'evaluated':>9} {'defining':>8} "
        f"{'read':>5} {'not':>4} {'wrong versions refuted':>24} {'seconds':>8}  "
        "instances"
    )
    print(header + "\n" + "-" * len(header))
    found, faults = [], []
    for wait in sections:
        judged = wait()
        found.append(judged)
        faults += report.faults([judged])
        counts = [
            judged.count(status)
            for status in (
                report.EVALUATED,
                report.DEFINING,
                report.READ,
                report.SKIPPED,
            )
        ]
        made = sum(finding.changed for finding in judged.findings)
        left = sum(len(finding.survivors) for finding in judged.findings)
        print(
            f"{BAD if report.faults([judged]) else GOOD} {judged.section or '-':<8} "
            f"{len(judged.findings):>8} {counts[0]:>9} {counts[1]:>8} {counts[2]:>5} "
            f"{counts[3]:>4} {f'{made - left:,} of {made:,}':>24} "
            f"{judged.seconds:>8.2f}  {judged.how}",
            flush=True,
        )
        for finding in judged.findings:
            if finding.status == report.SKIPPED and not finding.faults:
                print(f"  not evaluated: {finding.formula.where}: {finding.reason}")
            for survivor in finding.survivors if survivors else ():
                print(f"  survives: {finding.formula.where}: {survivor}")
    print("-" * len(header))
    if found:
        print(f"{report.summary(found)}\n{report.wrong_versions(found)}\n")
    return found, faults


def _verify_claims(
    verdicts: list[Callable[[], Any]], survivors: bool
) -> tuple[list[Any], list[str]]:
    """The verdicts on the claims, printed as they come, and what is wrong."""
    from hw2 import claims

    header = (
        f"{'':2}{'label':<26} {'statement':<58} {'tied':<8} {'mutants':>7} "
        f"{'made':>7} {'seconds':>8}"
    )
    print(header + "\n" + "-" * len(header))
    found, faults = [], []
    for wait in verdicts:
        verdict = wait()
        item = verdict.claim
        found.append(verdict)
        mark, mutants = (
            GOOD if verdict.holds else BAD,
            f"{verdict.refuted}/{len(item.mutants)}",
        )
        statement = textwrap.shorten(item.statement, 58)
        print(
            f"{mark} {item.label:<26} {statement:<58} {verdict.tie:<8} {mutants:>7} "
            f"{_refuted(verdict):>7} "
            + ("    kept" if verdict.kept else f"{verdict.seconds:>8.2f}")
        )
        print(f"{'':29}{item.held}: {item.method}; {item.domain}", flush=True)
        for survivor in verdict.survivors if survivors else ():
            print(f"  survives: {item.label}: {survivor}")
        faults += [f"{item.label}: {fault}" for fault in verdict.faults]
    tied = sum(verdict.tie != "no" for verdict in found)
    mutants = (
        f"{sum(v.refuted for v in found)} of "
        f"{sum(len(v.claim.mutants) for v in found)} mutants refuted"
    )
    print("-" * len(header))
    print(f"{sum(v.holds for v in found)} of {len(found)} claims hold, {mutants}, "
          f"{tied} tied to the page's equation")  # fmt: skip
    print(f"{claims.how_held(found)}; {claims.wrong_versions(found)}")
    if kept := sum(v.kept for v in found):
        print(
            f"kept: {kept} were checked before, with the same code, page and versions; "
            "make verify ANEW=1 checks them again"
        )
    return found, faults


def _refuted(verdict: Any) -> str:
    """Of the wrong versions made by machine, how many are refuted."""
    left = verdict.changed - len(verdict.survivors)
    return f"{left}/{verdict.changed}" if verdict.changed else ""


def seal() -> int:
    """Seal the wordings of the report as they are, and print what has changed."""
    from hw2 import seals
    from hw2.paths import ROOT
    from qmdpdf.source import QmdError

    try:
        difference = seals.seal(seals.pages())
    except (OSError, QmdError, ValueError) as error:
        return _fail(error)
    for line in difference:
        print(line)
    changed = f"{len(difference)} lines changed" if difference else "nothing changed"
    print(f"{seals.SEALED.relative_to(ROOT)}: {changed}")
    return 0


def inspect_pdf(pdf: Path) -> int:
    """Check a rendered report, return 1 if anything is wrong."""
    from pypdf.errors import PyPdfError

    from hw2 import pdf_check

    if not pdf.is_file():
        what = "is no file" if pdf.exists() else "does not exist"
        return _fail(f"{pdf} {what}; render the report with `make pdf`")
    try:
        faults = pdf_check.faults(pdf)
    except PyPdfError as error:
        return _fail(f"{pdf} is no PDF ({error}); render the report with `make pdf`")
    for fault in faults:
        _fail(fault)
    if not faults:
        print(
            f"{pdf}: all sections there, on the pages that the contents say, all "
            "references resolved, all labels there once and referred to, no caption "
            "twice, no drawing as pixels, nothing in the right margin"
        )
    return 1 if faults else 0


def run(parts: list[str], force: bool, adopt: bool) -> int:
    """Train the selected experiments whose recorded run is missing or stale, return 1
    if one failed. With `adopt` nothing is trained: runs get the hyper-parameters that
    today's code has besides, if it gives the recorded losses with them.
    """
    from hw2 import experiments
    from hw2.data import DataError
    from hw2.runs import RunError
    from hw2.searching import SearchError
    from hw2.training import TrainingError, world_size

    if adopt:
        return _adopted(parts)
    try:
        keys = experiments.select(parts)
    except RunError as error:
        return _fail(error)
    status = 0
    for key in keys:
        try:
            reason = "asked to" if force else experiments.outdated(key)
            if not reason:
                print(
                    f"{key}: nothing to do, the recorded run is what today's code gives"
                )
                continue
            print(f"{key}: training, {reason}", flush=True)
            found = experiments.record(key, fresh=force)
        except BrokenPipeError:
            raise
        except (DataError, RunError, SearchError, TrainingError, OSError) as error:
            status = _fail(f"{key}: {error}")
            if world_size() > 1:  # the other processes wait for this one
                break
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


def _adopted(parts: list[str]) -> int:
    """Adopt what is new in the selected records; return 1 if one cannot be extended."""
    from hw2 import bench, experiments
    from hw2.runs import RunError

    try:
        keys, timed = _selected(parts)
    except RunError as error:
        return _fail(error)
    work = {key: partial(experiments.adopt, key) for key in keys}
    if timed:
        for machine in bench.machines():
            work[f"bench/{machine}"] = partial(bench.adopt, machine)
    status = 0
    for key, extend in work.items():
        try:
            print(f"{key}: {extend()}")
        except RunError as error:
            status = _fail(f"{key}: {error}")
    return status


def audit(parts: list[str], draws: int | None, reproduce: bool) -> int:
    """Audit the selected recorded runs, print a table, return 1 if anything is wrong or
    nothing could be audited.
    """
    os.environ["HW2_KEEP"] = "0"  # canaries too
    from hw2 import experiments, runs
    from hw2.data import DataError, NotAtHandError
    from hw2.training import TrainingError

    try:
        keys, timed = _selected(parts)
    except runs.RunError as error:
        return _fail(error)
    width = max(map(len, keys), default=0)
    header = f"{'':2}{'run':<{width}} what was computed again"
    print(header + "\n" + "-" * 88)
    faults: list[str] = []
    absent, audited = [], 0
    for key in keys:
        try:
            found = experiments.audit(key, draws)
        except NotAtHandError as error:
            print(f"- {key:<{width}} not audited, its data is not at hand", flush=True)
            absent.append(f"{key} is not audited: {error}")
            continue
        except (DataError, TrainingError, runs.RunError, OSError) as error:
            print(f"{BAD} {key:<{width}} refused", flush=True)
            faults.append(f"{key}: {error}")
            continue
        print(f"{GOOD} {key:<{width}} canary agrees", flush=True)
        for line in _audited(found):
            print(f"{'':{width + 3}}{line}", flush=True)
        faults += experiments.faults(found)
        audited += 1
        if reproduce and not experiments.repeatable(key):
            print(f"{'':{width + 3}}- no training of one seed", flush=True)
        elif reproduce:
            try:
                faults += _reproduced(key, found.run, width)
            except (DataError, TrainingError, runs.RunError, OSError) as error:
                faults.append(f"{key}: {error}")
    measured, wrong = _bench_audited(width) if timed else (0, [])
    audited, faults = audited + measured, faults + wrong
    print("-" * 88)
    print(f"{audited} of {len(keys) + measured + len(wrong)} runs audited")
    for message in absent:
        print(message, file=sys.stderr)
    for fault in faults:
        _fail(fault)
    return 1 if faults or not audited else 0


def _selected(parts: list[str]) -> tuple[list[str], bool]:
    """The experiments that are meant, and whether the bench is. Raises RunError."""
    from hw2 import experiments

    others = [part for part in parts if part.rstrip("/") != "bench"]
    keys = experiments.select(others) if others or not parts else []
    return keys, not parts or others != parts


def _bench_audited(width: int) -> tuple[int, list[str]]:
    """Check the records of the bench, as far as that can be without their machines.
    Returns how many are good, and the faults.
    """
    from hw2 import bench, runs

    try:
        found = bench.recorded()
    except runs.RunError as error:
        print(f"{BAD} {'bench':<{width}} refused", flush=True)
        return 0, [f"bench: {error}"]
    for run in found:
        print(f"{GOOD} {'bench':<{width}} canary agrees: {run.provenance['device']}")
        names = ", ".join(runs.load("bench", run.name).summary)
        for line in textwrap.wrap(f"measured, given by `make bench` only: {names}", 66):
            print(f"{'':{width + 3}}{line}", flush=True)
    return len(found), []


def _audited(found: "experiments.Audit") -> list[str]:
    """What is said of one recorded run."""
    from hw2 import experiments

    lines = []
    if found.copied:
        lines.append(f"recorded on another copy of the data than {found.archive.name}:")
        for item in found.copied:
            lines.append(
                f"{GOOD if item.holds else BAD} {item.number}: recorded "
                f"{fmean(item.recorded):.5f}, here {fmean(item.again):.5f}; may differ "
                f"by {item.tolerance:.5f}, {experiments.DEVIATIONS} standard "
                "deviations of the balance of as many changed answers"
            )
    elif found.differences:
        entries = sum(item.entries for item in found.differences)
        changed = sum(item.changed for item in found.differences)
        good = all(item.holds for item in found.differences)
        lines.append(
            f"{GOOD if good else BAD} {len(found.differences)} tensors of answers: "
            f"{changed:,} of {entries:,} entries differ"
        )
    for what, names in (
        ("computed again from the data", found.from_data),
        ("from answers that the weights give again", found.from_weights),
        ("from what is recorded of answers, trials and curves", found.from_record),
        ("given again by training only (REPRODUCE=1)", found.from_training),
    ):
        if names:
            lines += textwrap.wrap(f"{what}: {', '.join(_shortened(names))}", 66)
    return lines


def _shortened(names: Sequence[str]) -> list[str]:
    """Names in their order; of many that differ behind a `/` only how many there
    are.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("/")[0], []).append(name)
    return [
        text
        for begin, group in groups.items()
        for text in (group if len(group) < 4 else [f"{begin}/... ({len(group)})"])
    ]


def _reproduced(key: str, run: "runs.Run", width: int) -> list[str]:
    """Train the first seed again. Returns a fault for each number that is not given
    again.
    """
    from hw2 import experiments

    seconds = run.provenance["seconds"] / max(1, len(run.seeds))
    print(
        f"{'':{width + 3}}trains one of its {len(run.seeds)} seeds again; recorded "
        f"were about {seconds:.0f} s for each, on {run.provenance['device']}",
        flush=True,
    )
    faults = []
    for item in experiments.repeat(key, experiments.REPEATED / key):
        told = (
            f"{item.number} of the first seed: recorded {item.recorded:.5f}, again "
            f"{item.again:.5f}, expected {item.low:.5f} to {item.high:.5f}"
        )
        print(f"{'':{width + 3}}{GOOD if item.holds else BAD} {told}", flush=True)
        if not item.holds:
            faults.append(f"{run.file}: {told}")
    return faults


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


def submission(pdf: Path | None, draft: bool, full: bool) -> int:
    """Write the archive that is handed in, or see whether it could be where there is no
    PDF yet; return 1 where something is missing or the IDs are none.
    """
    from hw2 import submission
    from hw2.data import DataError
    from hw2.runs import RunError
    from qmdpdf.source import QmdError

    if pdf and not pdf.is_file():
        return _fail(f"{pdf}: no such file; render it with `make pdf`")
    try:
        if not pdf:
            submission.check(draft, full)
            return 0
        target = submission.submit(pdf, draft, full)
    except (
        DataError,
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


def _count(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not below the least one."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number from {least} on"
            )
        return int(text)

    return read


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run it. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="hw2", description=__doc__.partition("\n\n")[0]
    )
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
    command.add_argument(
        "--survivors",
        action="store_true",
        help="list the wrong versions of formulas and claims that nothing refutes",
    )
    add("seal", seal, "keep the wordings that no program checks as they are now")
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
        help="train also what is good, and from the start (but for the trials of a "
        "search, which stay in its study)",
    )
    command.add_argument(
        "--adopt",
        action="store_true",
        help=(
            "add hyper-parameters that are new in the code to recorded runs that they "
            "leave as they are, those of the bench (KEY bench) too"
        ),
    )
    command = add(
        "audit",
        audit,
        "check the canaries of the recorded runs, and evaluate their weights again",
    )
    command.add_argument("parts", nargs="*", metavar="KEY", help=KEY)
    command.add_argument(
        "--draws",
        type=_count(0),
        default=1,
        metavar="N",
        help="draws of noise to evaluate again (default: 1)",
    )
    command.add_argument(
        "--whole",
        action="store_const",
        const=None,
        dest="draws",
        help="evaluate all answers again, which takes long",
    )
    command.add_argument(
        "--reproduce",
        action="store_true",
        help="train one seed of each that has such a training again too, and compare",
    )
    command = add(
        "search",
        search,
        "search the hyper-parameters of Task 2's network on validation data",
    )
    command.add_argument("--storage", metavar="URL_OR_FILE", help=STORAGE)
    command.add_argument(
        "--trials",
        type=_count(1),
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
            "execute the notebook, which trains what it shows, and write the archive "
            "to hand in: notebook and PDF"
        ),
    )
    command.add_argument(
        "pdf",
        type=Path,
        nargs="?",
        help="the rendered report; without it only names, IDs and images are checked",
    )
    command.add_argument(
        "--draft", action="store_true", help="accept IDs that are none"
    )
    command.add_argument(
        "--full",
        action="store_true",
        help="train with the long recipes and all seeds; killed, it goes on",
    )
    options = vars(parser.parse_args(arguments))
    del options["command"]
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # in a locale without UTF-8 a tick becomes a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        status = options.pop("call")(**options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # as of `| head`: nobody reads what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:  # a file that cannot be read or written
        return _fail(error)
    return status
