"""Draw docs/pictures/regime.png from the record of `twofold claims run regime --size full` in results/."""

from __future__ import annotations

from pathlib import Path

from twofold.claims.plots.regime import regimes
from twofold.files import read_json

ROOT = Path(__file__).parent.parent


def main() -> None:
    record = read_json(ROOT / "results" / "claims" / "regime.json")
    errors = record["measured"]["slow error %"], record["twin"]["fast error %"]
    print(regimes(*errors, ROOT / "docs" / "pictures" / "regime.png"))


if __name__ == "__main__":
    main()
