"""The author's own method has about the error of backprop on MNIST (talk 13:48).

smoke: a small net on digits with the author's settings at a higher rate, two seeds. full: the recipe mnist-paper, three
seeds, and the 4 x 2000 net of the paper's table (1.36 %), one seed, with their twins. Ports of the author's code have
an error of about 1.45 % with 3 x 1000, which is the limit of the rule.
"""

from __future__ import annotations

from twofold.recipes import mnist, mnist_wide
from twofold.recipes.mnist_paper import mnist_paper, wide
from twofold_lab import feedforward
from twofold_lab.claim import Claim, Finding, Headline
from twofold_lab.lab import Lab
from twofold_lab.verdict import limited

SETTINGS = ("objective", "temperature", "decay", "tolerance", "revisit")

CLAIM = Claim(
    "paper",
    time="13:48",
    says="The author's own method has about the error of backprop on MNIST.",
    headline=Headline("slow error %", "1.3-1.4 (1.36 with 4 x 2000)"),
    clauses=(limited("error of ports of the author's code", "slow error %", smoke=5, full=1.45),),
)


@CLAIM.measure
def paper(lab: Lab) -> Finding:
    changes = {name: getattr(mnist_paper, name) for name in SETTINGS}
    contest = lab.contest({"mnist-paper": changes}, feedforward.pair(lab, mnist_paper, mnist.twin))
    measured, twin = contest.errors("mnist-paper"), contest.errors()
    if lab.size == "full":
        contest = lab.contest({"mnist-paper-wide": {}}, (wide, mnist_wide.twin), seeds=[0])
        measured |= {"wide": contest.errors("mnist-paper-wide")}
        twin |= {"wide": contest.errors()}
    return Finding(measured, twin, lab.seeds)
