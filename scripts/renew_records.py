"""Mark records as current that were made by code which does the same as today's.

    python scripts/renew_records.py OTHER_CHECKOUT

A record of a claim says of which code it was made. Where that code has changed and nothing that it computes has, the
record may be renewed: its figures stay, its fingerprint becomes that of this checkout, and ``renewed`` says when, by
which commit and why. The proof is made here: every family trains bitwise the same weights in both checkouts, see
`same_weights`, and every claim has the same figures at smoke size, but for seconds. Only records that are current in
the other checkout are renewed. Takes about 15 minutes.
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

from twofold_lab.claims import ledger
from twofold_lab.fingerprint import made_of
from twofold.files import read_signed, write_signed

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "claims"
TIMES = ("second", "joules for an image of a step")
"""Parts of the names of figures that are measured by a clock or a counter of the machine."""
STATUS = """
import json, sys
from pathlib import Path
from twofold_lab.claims import ledger
print(json.dumps({each["id"]: each["status"] for each in ledger.listing(Path(sys.argv[1]))}))
"""
SMOKE = """
import json, sys
from pathlib import Path
from twofold_lab.claims import ledger
figures = {}
for name, claim in ledger.LEDGER.items():
    if claim.experiment:
        record = ledger.run(name, "smoke", runs=Path(sys.argv[1]), device="cpu", precision="fp32")
        figures[name] = {key: record[key] for key in ("holds", "rule", "talk", "measured", "twin", "seeds")}
print(json.dumps(figures))
"""


def ask(checkout: Path, code: str, folder: Path) -> dict[str, Any]:
    """What a piece of Python prints with the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{checkout}\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def without_times(figures: Any) -> Any:
    """Figures without those that differ from run to run."""
    if isinstance(figures, dict):
        kept = {key: value for key, value in figures.items() if not any(word in key for word in TIMES)}
        return {key: without_times(value) for key, value in kept.items()}
    return [without_times(value) for value in figures] if isinstance(figures, list) else figures


def commit() -> str:
    """The commit of this checkout, which has to be clean."""
    if subprocess.check_output(["git", "status", "--porcelain", "src"], cwd=ROOT, text=True):
        sys.exit(f"{ROOT}/src has changes that are not committed: commit them first")
    return subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, text=True).strip()


def main(other: Path) -> int:
    """Renew the records; the exit code."""
    renewed_by, before, now = commit(), ask(other, STATUS, other / "results" / "claims"), ask(ROOT, STATUS, RESULTS)
    names = [name for name, status in now.items() if before.get(name) == "current" and status != "current"]
    if not names:
        print("no record to renew")
        return 0
    with tempfile.TemporaryDirectory() as place:
        figures = [ask(checkout, SMOKE, Path(place) / str(number)) for number, checkout in enumerate((other, ROOT))]
    for name in names:
        if without_times(figures[0][name]) != without_times(figures[1][name]):
            sys.exit(f"{name}: other figures at smoke size; nothing was renewed")
    if same_weights.main(other):
        sys.exit("other weights; nothing was renewed")
    for name in names:
        path, claim = RESULTS / f"{name}.json", ledger.find(name)
        record, _ = read_signed(path)
        assert claim.experiment is not None
        note = {
            "commit": renewed_by,
            "date": datetime.now(UTC).date().isoformat(),
            "why": "same weights of every family, same figures of the claim at smoke size",
        }
        renewed = {"made_of": made_of(claim.experiment), "renewed": [*record.get("renewed", []), note]}
        write_signed(path, {**record, **renewed})
        print(f"renewed {name}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
