"""The laboratory: the talk's claims as experiments that measure, beside what was said and what backprop does.

record = claims.run("hard-neg", "smoke")
claims.write(record, Path("results/claims"))
claims.listing(Path("results/claims"))
"""

from twofold.claims.lab import Finding, Lab
from twofold.claims.ledger import LEDGER, Claim, find, listing, read_results, run, write

__all__ = ["LEDGER", "Claim", "Finding", "Lab", "find", "listing", "read_results", "run", "write"]
