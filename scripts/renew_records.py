"""Renew the records of claims whose code has changed, but not its results.

    python scripts/renew_records.py OTHER_CHECKOUT

A record contains the fingerprint of the code that produced it. If this code has changed but its results have not, the
record may be renewed: it keeps its figures and gets the fingerprint of this checkout, and ``renewed`` states the date,
the commit and the reason. This script checks that both checkouts train bitwise the same weights of every family (see
`same_weights`), and that every claim to renew has the same figures at smoke size, except for times and energies. Only
records that are current in the other checkout are renewed. It takes about 15 minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import same_weights

from twofold.files import read_signed, write_signed
from twofold_lab import ledger
from twofold_lab.fingerprint import origin_of

ROOT = Path(__file__).resolve().parents[1]
TIMES = ("second", "joules for an image of a step")
"""Words in the names of figures that a clock or an energy counter measures."""
STATUS = """
import json
from twofold_lab import ledger
print(json.dumps({entry["id"]: entry["status"] for entry in ledger.listing()}))
"""
SMOKE = """
import json, sys
from pathlib import Path
from twofold_lab import ledger
runs, *names = sys.argv[1:]
records = {name: ledger.run(name, "smoke", runs=Path(runs), device="cpu", precision="fp32") for name in names}
kept = ("measured", "twin", "seeds")
print(json.dumps({name: {key: record[key] for key in kept} for name, record in records.items()}))
"""


def output(checkout: Path, code: str, *words: str) -> dict[str, Any]:
    """Run Python code with the packages of a checkout and return the JSON of its last line."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{checkout}\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def without_times(figures: Any) -> Any:
    """Return figures without times and energies, which differ from run to run."""
    if isinstance(figures, dict):
        kept = {key: value for key, value in figures.items() if not any(word in key for word in TIMES)}
        return {key: without_times(value) for key, value in kept.items()}
    return [without_times(value) for value in figures] if isinstance(figures, list) else figures


def commit() -> str:
    """Return the commit of this checkout; exit if src has uncommitted changes."""
    if subprocess.check_output(["git", "status", "--porcelain", "src"], cwd=ROOT, text=True):
        sys.exit(f"{ROOT}/src has uncommitted changes: commit them first")
    return subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, text=True).strip()


def main(other: Path) -> int:
    """Renew the records; return the exit code."""
    renewed_by, before, now = commit(), output(other, STATUS), output(ROOT, STATUS)
    names = [name for name, status in now.items() if before.get(name) == "current" and status != "current"]
    if not names:
        print("no record to renew")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        figures = [output(checkout, SMOKE, f"{folder}/{checkout.name}", *names) for checkout in (other, ROOT)]
    for name in names:
        if without_times(figures[0][name]) != without_times(figures[1][name]):
            sys.exit(f"{name}: the figures at smoke size differ; no record was renewed")
    if same_weights.main(other):
        sys.exit("the trained weights differ; no record was renewed")
    for name in names:
        path = ROOT / "results" / "claims" / f"{name}.json"
        record, _ = read_signed(path)
        renewal = {
            "commit": renewed_by,
            "date": datetime.now(UTC).date().isoformat(),
            "why": "same weights of every family, same figures of the claim at smoke size",
        }
        origin = origin_of(ledger.module_of(ledger.find(name)), record["settings"])
        write_signed(path, {**record, "origin": origin, "renewed": [*record.get("renewed", []), renewal]})
        print(f"renewed {name}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
