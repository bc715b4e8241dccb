"""Write the generated parts of the documentation from the records in results/.

    python -m twofold_lab.docs [--check]

The generated parts are the tables of README.md and docs/*.md, between ``<!-- table: NAME -->`` and ``<!-- end -->``,
and one page for each claim in docs/claims/. With --check no file is written, and the exit code is 1 if a file is not up
to date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twofold_lab import benchmarks, claims
from twofold_lab.claim import Claim
from twofold_lab.ledger import ledger, listing, module_of
from twofold_lab.record import command, overturned, read, status
from twofold_lab.tables import NONE, TABLES, markdown, sides, table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
MARKER = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def load_tables() -> None:
    """Import the modules that define tables. A claim for which no table is defined gets a table of all its figures."""
    for package in (claims, benchmarks):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(info.name)
    for name in ledger().keys() - TABLES.keys():
        table(name, f"claims/{name}.json")(sides)


def overview() -> str:
    """Return the table of all claims, one row each."""
    rows = []
    for entry in listing(RESULTS):
        link = f"[`{entry['id']}`](claims/{entry['id']}.md)"
        verdicts = "; ".join(f"{clause['says']}: {_bold(clause['verdict'])}" for clause in entry["clauses"]) or "-"
        age = f"{entry['date'] or 'before 2026-11-25'}, {entry['status'].partition(':')[0]}" if entry["status"] else "-"
        figures = (str(entry[key] or "-") for key in ("figure", "talk", "ours", "twin"))
        rows.append([link, entry["says"], *figures, verdicts, age])
    return markdown(["id", "claim", "figure", "talk", "ours", "twin", "verdicts", "record"], rows)


def _bold(verdict: str) -> str:
    return verdict if verdict == "holds" else f"**{verdict}**"


def page(claim: Claim) -> str:
    """Return the content of the page of a claim, as Markdown."""
    source = f"talk, {claim.time}" if claim.time[0].isdigit() else claim.time
    lines = [f"# {claim.id}", "", f"*{claim.says}* ({source})", ""]
    if claim.measurement is None:
        return "\n".join([*lines, "The experiment is not built yet.", ""])
    docstring = inspect.getdoc(importlib.import_module(module_of(claim))) or ""
    lines += [docstring.partition("\n\n")[2].strip(), ""]  # the first sentence repeats the claim
    smoke = f"twofold claims run {claim.id}    # seconds, on the embedded digits"
    lines += ["```bash", smoke, command(claim.id), "```", ""]
    record, intact = read(claim.id, RESULTS / "claims")
    if record is None:
        return "\n".join([*lines, NONE, ""])
    clauses = record["clauses"]
    rows = [[clause["says"], clause["rule"], clause["statistic"], _bold(clause["verdict"])] for clause in clauses]
    lines += ["## Verdicts", "", markdown(["statement", "rule", "measured", "verdict"], rows), ""]
    for entry in overturned(record):
        lines += [f"Earlier: {', '.join(entry['verdicts'])} at commit {entry['commit'] or '(unknown)'}.\n"]
    lines += ["## Figures", "", sides(record), ""]
    picture = ROOT / "docs" / "pictures" / f"{claim.id}.png"
    if picture.exists():
        lines += [f"![{claim.says}](../pictures/{picture.name})", ""]
    lines += ["## Record", "", *(f"- {line}" for line in _facts(record, status(record, intact))), ""]
    return "\n".join(lines)


def _facts(record: Mapping[str, Any], state: str) -> list[str]:
    """Return the lines about the origin of a record: state, date, data, test cases, precision and time."""
    tested = record["tested"]
    cases = tested if isinstance(tested, str) else ", ".join(f"{count:,} cases ({kind})" for kind, count in tested)
    renewed = [f"renewed {r['date']} at commit {r['commit']}: {r['why']}" for r in record.get("renewed") or []]
    return [
        f"state: {state}",
        f"date: {record.get('date') or 'not recorded'}, commit {record['environment'].get('commit') or 'not recorded'}",
        *renewed[-1:],
        f"data: {record['dataset']}{'' if record['official_data'] else ' (not the official files)'}",
        f"tested on: {cases}",
        f"precision: {record['precision']}; seeds: {', '.join(map(str, record['seeds']))}; seconds of training: "
        f"{record['seconds']:,.0f}",
    ]


def pages() -> dict[Path, str]:
    """Return the content of each generated file, by path."""
    load_tables()
    TABLES["ledger"] = lambda _: overview()
    contents = {}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        contents[path] = MARKER.sub(lambda found: f"{found[1]}{TABLES[found[2]](RESULTS)}\n{found[3]}", text)
    return contents | {ROOT / "docs" / "claims" / f"{claim.id}.md": page(claim) for claim in ledger().values()}


def main() -> int:
    """Write the generated files, or check them with --check; return the exit code."""
    check, changed = "--check" in sys.argv, []
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(str(path.relative_to(ROOT)))
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    print(f"{'not up to date' if check else 'written'}: {', '.join(changed) or 'none'}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
