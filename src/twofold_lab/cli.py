"""Commands of the laboratory: `twofold claims` and `twofold bench`. They are registered as entry points."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from twofold import machine
from twofold.cli.arguments import CommonOptions, parse
from twofold.cli.output import expect_writable, print_json
from twofold.cli.text import format_table
from twofold.errors import Interrupted, SettingError
from twofold_lab import benchmarks, ledger, record
from twofold_lab.lab import RUNS
from twofold_lab.tables import rows

RESULTS = Path("results")
"""Default folder for full-size records."""

ClaimId = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ID")]


@dataclass(frozen=True)
class Claims:
    """List the claims of the talk and the measured results.

    `twofold claims show ID` shows one claim in full, `twofold claims run ID` measures it, and `twofold claims draw ID`
    plots its results if it has a plot.

    Attributes:
        results: results folder; by default ./results if it has records, else the records that come with the package.
        json: print the list as JSON.
    """

    results: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class ClaimsShow:
    """Show one claim: its statements, the rules that judge them, verdicts and measured values.

    Attributes:
        id: id of the claim; see `twofold claims` for a list.
        results: results folder; by default ./results if it has records, else the records that come with the package.
        json: print the record as JSON.
    """

    id: ClaimId
    results: Path | None = None
    json: bool = False


@dataclass(frozen=True)
class ClaimsRun(CommonOptions):
    """Run the experiment of a claim.

    Attributes:
        id: id of the claim; see `twofold claims` for a list.
        size: with smoke, seconds on the digits that come with the package; with full, the complete experiment.
        runs: folder of the training runs. All claims share it, and an interrupted experiment is resumed from it.
        results: folder for the record, which is written only with --size full.
    """

    id: ClaimId = dataclasses.field(kw_only=True)
    size: Literal["smoke", "full"] = "smoke"
    runs: Path = RUNS
    results: Path = RESULTS


@dataclass(frozen=True)
class ClaimsDraw(CommonOptions):
    """Plot the results of a claim.

    Attributes:
        id: id of a claim that has a plot; for other claims, the error message lists those that have one.
        size: with smoke, small nets on the digits that come with the package; with full, the complete experiment.
        runs: folder of the training runs; missing nets are trained.
        results: results folder. Its record of the given --size is plotted; without one, the claim is measured first.
            Default as for `twofold claims`.
        out: PNG file to write. The default with --size full is docs/pictures/ID.png if that folder exists; otherwise
            ID.png in the folder --runs.
    """

    id: ClaimId = dataclasses.field(kw_only=True)
    size: Literal["smoke", "full"] = "smoke"
    runs: Path = RUNS
    results: Path | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Bench(CommonOptions):
    """Options of the benchmark.

    Attributes:
        folder: folder for the record NAME.json and the plot NAME.png; existing files are replaced.
    """

    folder: Path = Path("runs/bench")


def claims(words: Sequence[str]) -> None:
    """List all claims, or show, measure or plot one of them."""
    commands = {"show": _show, "run": _run, "draw": _draw}
    if words[:1] and words[0] in commands:
        commands[words[0]](words[1:])
        return
    options = parse(Claims, words, "claims")
    listing = ledger.listing(_results(options.results))
    print_json(listing) if options.json else print(_listed(listing))


def _results(chosen: Path | None) -> Path:
    """Return the results folder to read: the ``chosen`` one or the default.

    Raises:
        SettingError: the chosen folder does not exist.
    """
    if chosen and not chosen.is_dir():
        raise SettingError(f"--results is {chosen}, which is not a folder: give an existing folder or omit --results")
    return chosen or (RESULTS if (RESULTS / "claims").is_dir() else ledger.SHIPPED)


def _show(words: Sequence[str]) -> None:
    options = parse(ClaimsShow, words, "claims show")
    claim, results = ledger.find(options.id), _results(options.results)
    kept, intact = record.read(claim.id, results / "claims")
    if kept is None:
        todo = f"measured at full size yet: run `{record.command(claim.id)}`" if claim.measurement else "built yet"
        print(f"{claim.id} ({claim.time}): {claim.says}\n\nnot {todo}")
    else:
        print(f"{_described(kept)}\nrecord: {record.status(kept, intact)}, {kept.get('date') or 'no date'}")
        for entry in record.overturned(kept):
            print(f"earlier: {', '.join(entry['verdicts'])} at commit {entry['commit'] or '(unknown)'}")
    if options.json:
        print_json(kept)


def _run(words: Sequence[str]) -> None:
    from twofold.cli.progress import Bar

    options = parse(ClaimsRun, words, "claims run")
    if options.size != "full" and options.results != RESULTS:
        raise SettingError("--results needs --size full, since a smoke run writes no record: omit --results")
    with _interruptible(options.runs):
        measured = ledger.run(options.id, options.size, progress=Bar, **_common(options))
    if options.size == "full":
        record.write(measured, options.results / "claims")
    print(_described(measured))
    if options.json:
        print_json(measured)


def _draw(words: Sequence[str]) -> None:
    from twofold.cli.progress import Bar

    options = parse(ClaimsDraw, words, "claims draw")
    pictures = Path("docs/pictures")
    folder = pictures if options.size == "full" and pictures.is_dir() else options.runs
    out, results = options.out or folder / f"{options.id}.png", _results(options.results)
    with _interruptible(options.runs):
        path = ledger.draw(options.id, options.size, out, results=results, progress=Bar, **_common(options))
    print(path)
    if options.json:
        print_json({"id": options.id, "size": options.size, "picture": str(path)})


def _common(options: ClaimsRun | ClaimsDraw) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("runs", "device", "precision", "data_dir")}


@contextmanager
def _interruptible(runs: Path) -> Iterator[None]:
    """Turn a keyboard interrupt within the context into an error that explains how to continue."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(f"interrupted; repeat the command to continue with the training runs in {runs}") from stop


def _described(kept: Mapping[str, Any]) -> str:
    """Format a record: the claim, its figures next to those of the twin, and the verdict on each statement."""
    lines = [f"{kept['id']} ({kept['time']}): {kept['says']}", f"claimed: {kept['talk']}"]
    lines += ["", format_table(rows(kept)), ""]
    for clause in kept["clauses"]:
        lines += [f"{clause['verdict']:<13} {clause['says']}: {clause['statistic']}", f"{'':13} rule: {clause['rule']}"]
    seeds = ", ".join(map(str, kept["seeds"]))
    return "\n".join([*lines, "", f"size {kept['size']}, {kept['precision']}, seeds {seeds}, {kept['seconds']:.0f} s"])


def _listed(listing: Sequence[Mapping[str, Any]]) -> str:
    """Format all claims as a table, with one line for each claim unless the terminal is too narrow."""
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "claim", "figure", "talk", "ours", "twin", "verdicts", "record", box=None, pad_edge=False)
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True
    for entry in listing:
        verdicts = Counter(clause["verdict"] for clause in entry["clauses"])
        several = len(entry["clauses"]) > 1
        counted = ", ".join(f"{count} {verdict}" if several else verdict for verdict, count in verdicts.items())
        state = (entry["status"] or "").partition(":")[0] or ("-" if entry["command"] else "not built")
        shown = [str(entry[key] or "-") for key in ("says", "figure", "talk", "ours", "twin")]
        table.add_row(entry["id"], *shown, counted or "-", state)
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    console = Console(width=max(100, wide), color_system=None)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([*lines, "", "To see one claim in full: twofold claims show ID"])


def bench(words: Sequence[str]) -> None:
    """Run a benchmark, write its record, and plot it if it has a plot."""
    if not words or words[0].startswith("-"):
        summaries = {name: (cls.__doc__ or "").split("\n", 1)[0] for name, cls in benchmarks.benchmarks().items()}
        lines = "\n".join(f"  {name:16} {line}" for name, line in summaries.items())
        print(f"usage: twofold bench NAME [--field value ...]\n\nBenchmarks\n{lines}")
        if words[:1] in (["--help"], ["-h"]):
            return
        raise SettingError("twofold bench needs the name of a benchmark, for example: twofold bench epoch")
    name, words = words[0], words[1:]
    chosen = benchmarks.find(name)
    namespace = {"__doc__": f"Run the {name} benchmark."}
    fields = [("benchmark", chosen), ("command", Bench)]
    command = dataclasses.make_dataclass("Bench", fields, frozen=True, namespace=namespace)
    parsed: Any = parse(command, words, f"bench {name}", command(chosen(), Bench()))
    options = parsed.command
    device = machine.choose_device(options.device)
    precision = machine.choose_precision(options.precision, device)
    expect_writable("--folder", options.folder)  # fail before the measurement, not after it
    workbench = benchmarks.Workbench(device, precision, options.data_dir, partial(print, file=sys.stderr, flush=True))
    measured = benchmarks.run(name, parsed.benchmark, workbench, options.folder)
    plot = f", plot: {name}.png" if (options.folder / f"{name}.png").exists() else ""
    print(f"{parsed.benchmark.table(measured)}\n\nrecord: {options.folder / name}.json{plot}")
    if options.json:
        print_json(measured)
