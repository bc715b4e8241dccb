"""The ledger: the list of all claims, in the order of the talk, followed by the claims that only the paper makes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from twofold import machine
from twofold.errors import RunError, SettingError, remark, unknown
from twofold_lab import claims
from twofold_lab.claim import Claim, Finding
from twofold_lab.fingerprint import origin_of
from twofold_lab.lab import Lab
from twofold_lab.record import command, overturned, read, status
from twofold_lab.verdict import Figures

PACKAGE = Path(__file__).parent
SHIPPED = next(
    (folder for folder in (PACKAGE.parents[1] / "results", PACKAGE / "results") if (folder / "claims").is_dir()),
    PACKAGE / "results",
)
"""The results folder of the repository, or of the installed package."""


@cache
def ledger() -> Mapping[str, Claim]:
    """Return the claims by id: the ``CLAIM`` of every module in ``claims/``, in the order of the talk."""
    modules = [
        importlib.import_module(info.name) for info in pkgutil.iter_modules(claims.__path__, f"{claims.__name__}.")
    ]
    in_order = sorted(modules, key=lambda m: (m.CLAIM.time[0].isalpha(), m.CLAIM.time, m.CLAIM.id))
    return {module.CLAIM.id: module.CLAIM for module in in_order}


def find(name: str) -> Claim:
    """Return the claim with the id ``name``.

    Raises:
        SettingError: no claim has this id; the message suggests the most similar one.
    """
    if name not in ledger():
        raise unknown("claim", name, ledger())
    return ledger()[name]


def run(name: str, size: str, **options: Any) -> dict[str, Any]:
    """Measure a claim.

    Args:
        name: id of the claim.
        size: smoke (seconds, on the embedded digits) or full (minutes to hours, on MNIST).
        options: ``runs``, ``device``, ``precision``, ``data_dir`` and ``progress`` of the `Lab`.

    Returns:
        The record, in JSON values: ``id, time, says, size, talk``, the fields of `Finding`, the verdict on each of its
        ``clauses`` (see `Claim.judge`), the name of the headline figure (``test``), the facts about the training runs
        (see `Lab.facts`), the ``environment``, the ``date`` and the ``origin``, which is the fingerprint of the code.

    Raises:
        SettingError: the claim or the size is unknown, or the experiment of the claim is not built yet.
    """
    claim = find(name)
    if claim.measurement is None:
        built = ", ".join(claim.id for claim in ledger().values() if claim.measurement)
        raise SettingError(f"the experiment of claim {name!r} is not built yet: choose one of {built}")
    lab = Lab(size, **options)
    return record_of(claim, claim.measurement(lab), lab)


def record_of(claim: Claim, finding: Finding, lab: Lab) -> dict[str, Any]:
    """Return the record of a claim with the measured figures ``finding``; see `run`."""
    facts = lab.facts()
    cases = min((count for _, count in facts["tested"]), default=0)
    return {
        "id": claim.id,
        "time": claim.time,
        "says": claim.says,
        "size": lab.size,
        "clauses": claim.judge(Figures(finding.measured, finding.twin, lab.size, finding.seeds, cases)),
        "talk": claim.headline.talk if claim.headline else "",
        **asdict(finding),
        "test": claim.headline.figure if claim.headline else "",
        **facts,
        "environment": machine.describe(machine.choose_device(lab.device)),
        "date": datetime.now(UTC).date().isoformat(),
        "origin": origin_of(module_of(claim), facts["settings"]),
    }


def module_of(claim: Claim) -> str:
    """Return the name of the module that measures a claim."""
    assert claim.measurement is not None
    return claim.measurement.__module__


def draw(name: str, size: str, path: Path, *, results: Path = SHIPPED, **options: Any) -> Path:
    """Plot a claim into a PNG file.

    Args:
        name: id of the claim.
        size: smoke or full, as for `run`.
        path: the file to write.
        results: results folder. Its record of the claim is plotted if it has this size, else the claim is measured.
        options: options of the `Lab`, as for `run`. Nets that the plot shows are trained if their runs do not exist.

    Returns:
        The path.

    Raises:
        SettingError: the claim or the size is unknown, or the claim has no plot.
        RunError: the record is damaged or edited.
    """
    import twofold.plots  # noqa: F401  # before matplotlib, some of whose messages it filters

    claim = find(name)
    if claim.picture is None or claim.measurement is None:
        drawn = ", ".join(claim.id for claim in ledger().values() if claim.picture)
        raise SettingError(f"claim {name!r} has no plot: choose one of {drawn}")
    lab = Lab(size, **options)
    record, intact = read(name, results / "claims")
    if record is None or record["size"] != size:
        return claim.picture(record_of(claim, claim.measurement(lab), lab), path, lab)
    state = status(record, intact)
    if state == "edited":
        raise RunError(f"{results / 'claims' / name}.json was edited by hand: restore it, or run `{command(name)}`")
    if state != "current":
        remark(f"the record of {name} is {state}; `{command(name)}` measures it again")
    return claim.picture(record, path, lab)


def listing(results: Path = SHIPPED) -> list[dict[str, Any]]:
    """List every claim with the contents of its record in the results folder.

    Returns:
        A dictionary for each claim: ``id, time, says``; the name of the headline ``figure``, and its values in the
        ``talk``, for Forward-Forward (``ours``) and for the ``twin``, as text; the ``clauses`` with their verdicts; the
        ``status`` and ``date`` of the record (``None`` without a record); earlier records whose verdicts were
        ``overturned``; and the ``command`` that measures the claim (``None`` if the experiment is not built yet).
    """
    entries = []
    for claim in ledger().values():
        record, intact = read(claim.id, results / "claims")
        headline = claim.headline
        entries.append(
            {
                **{"id": claim.id, "time": claim.time, "says": claim.says},
                "figure": headline.figure if headline else None,
                "talk": headline.talk if headline else None,
                "ours": shown(record, "measured", headline.ours, headline.seeds) if record and headline else None,
                "twin": shown(record, "twin", headline.twin, headline.seeds) if record and headline else None,
                "clauses": record["clauses"] if record else [],
                "status": status(record, intact) if record else None,
                "date": record.get("date") if record else None,
                "overturned": overturned(record) if record else [],
                "command": command(claim.id) if claim.measurement else None,
            }
        )
    return entries


def shown(record: Mapping[str, Any], figures: str, keys: Any, seeds: int | None = None) -> str:
    """Format a figure of a record: ``1.23 ± 0.05 (3 seeds)``, ``0.04 to 36.6``, or ``-`` if it does not exist.

    Args:
        record: the record.
        figures: ``measured`` (figures of Forward-Forward, with the number of seeds) or ``twin`` (figures of the twin,
            without the number of seeds).
        keys: path to the figure.
        seeds: number of training runs behind the figure; by default the number of seeds of the record.
    """
    figure: Any = record[figures]
    for key in keys:
        figure = figure.get(key) if isinstance(figure, Mapping) else None
    if figure is None or not keys:
        return "-"
    if isinstance(figure, list):  # a range
        return " to ".join(f"{end:.4g}" for end in figure)
    count = seeds or len(record["seeds"])
    of = f" ({count} seed{'s' if count > 1 else ''})" if figures == "measured" else ""
    if isinstance(figure, Mapping):
        spread = f" ± {figure['std']:.2f}" if figure["std"] else ""
        return f"{figure['mean']:.2f}{spread}{of}"
    return f"{figure:.4g}{of}" if isinstance(figure, float) else f"{figure}{of}"


def records(results: Path = SHIPPED) -> dict[str, dict[str, Any]]:
    """Read the records in the results folder. Return them by id, in the order of the ledger.

    Raises:
        RunError: a file is damaged.
    """
    kept = {name: read(name, results / "claims")[0] for name in ledger()}
    return {name: record for name, record in kept.items() if record}
