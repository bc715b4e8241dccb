"""The laboratory: the talk's claims as experiments, measured beside the claimed figures and the backprop twin.

record = claims.run("hard-neg", "smoke")
claims.write(record, Path("results/claims"))
claims.draw("relax", "smoke", Path("relax.png"))
claims.listing(Path("results/claims"))
"""

from twofold.claims.lab import Finding, Lab
from twofold.claims.ledger import LEDGER, Claim, draw, find, listing, read_results, read_status, run
from twofold.claims.records import write

__all__ = [
    "LEDGER",
    "Claim",
    "Finding",
    "Lab",
    "draw",
    "find",
    "listing",
    "read_results",
    "read_status",
    "run",
    "write",
]
