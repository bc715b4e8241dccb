"""The ledger: every claim of the talk, then those made only in the paper, with the experiment for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twofold import machine
from twofold.claims.agree import agree
from twofold.claims.analog import analog, draw_analog
from twofold.claims.black_box import black_box, draw_black_box
from twofold.claims.cancel import cancel, draw_cancel
from twofold.claims.cheap import cheap
from twofold.claims.cifar import cifar
from twofold.claims.cost import cost
from twofold.claims.fast import fast_test
from twofold.claims.fields import fields
from twofold.claims.from_start import from_start
from twofold.claims.glom import glom
from twofold.claims.goodness import goodness
from twofold.claims.hard_neg import hard_neg
from twofold.claims.hybrid import hybrid
from twofold.claims.irrelevant import irrelevant
from twofold.claims.jitter import jitter
from twofold.claims.lab import RUNS, Finding, Lab, Watch
from twofold.claims.label_in import label_in
from twofold.claims.layer import layer
from twofold.claims.local import local
from twofold.claims.low_activity import low_activity
from twofold.claims.made_of import made_of
from twofold.claims.mnist import mnist
from twofold.claims.mortal import draw_mortal, mortal
from twofold.claims.moving import draw_moving, moving
from twofold.claims.no_later import no_later
from twofold.claims.norm import norm
from twofold.claims.paper import paper
from twofold.claims.power import draw_power, power
from twofold.claims.records import SHOWN, command, overturned, read, read_result, status
from twofold.claims.recurrent import recurrent
from twofold.claims.regime import draw_regime, regime
from twofold.claims.relax import draw_relax, relax
from twofold.claims.shortlist import shortlist
from twofold.claims.slow import slow_test
from twofold.claims.top_down import draw_top_down, top_down
from twofold.claims.video import video
from twofold.errors import RunError, SettingError, remark, unknown

RESULTS = Path("results/claims")
"""Folder of the kept records."""

Draw = Callable[[Lab, Path, Mapping[str, Any] | None], Path]
"""Draws a claim's picture at the laboratory's size into a PNG, given the kept record of that size if there is one."""


@dataclass(frozen=True)
class Claim:
    """A sentence that can hold or fail.

    Attributes:
        id: its name on the command line.
        time: where the talk says it (mm:ss), or the place in the paper if only the paper does.
        says: the claim.
        experiment: function that measures it; ``None`` if it is not built yet.
        draw: function that draws its picture; ``None`` if it has none.
    """

    id: str
    time: str
    says: str
    experiment: Callable[[Lab], Finding] | None = None
    draw: Draw | None = None


_CLAIMS = (
    Claim("layer", "07:12", "Each layer learns by itself to like positive data and to dislike negative data.", layer),
    Claim("goodness", "08:11", "Goodness can be the sum of squared activities, or many another function.", goodness),
    Claim("norm", "09:23", "Unless activity is passed on at a fixed length, the next layer learns nothing new.", norm),
    Claim("label-in", "10:57", "With a right or a wrong label in the first pixels, learning is supervised.", label_in),
    Claim("irrelevant", "11:53", "What does not go with the label is ignored, like noise in the margin.", irrelevant),
    Claim("fast-test", "13:02", "A softmax on the hidden activities under a neutral label takes one pass.", fast_test),
    Claim("slow-test", "13:14", "Trying every label for the highest goodness is slower, and better.", slow_test),
    Claim("shortlist", "13:27", "Among a thousand labels the fast test picks a few, the slow test one.", shortlist),
    Claim("paper", "13:48", "On MNIST the author's own method errs about as rarely as backprop.", paper),
    Claim("mnist", "13:48", "On MNIST a fully connected net errs about as rarely as with backprop.", mnist),
    Claim("hard-neg", "14:05", "Wrong labels that are the net's own mistakes teach faster than random ones.", hard_neg),
    Claim("jitter", "15:26", "On images shifted by up to two pixels the error on MNIST falls to 0.64 %.", jitter),
    Claim("fields", "16:07", "The first layer's receptive fields come to agree with its label weights.", fields),
    Claim(
        "no-later", "17:24", "In a feedforward net, what later layers learn cannot influence earlier ones.", no_later
    ),
    Claim("top-down", "17:56", "Context decides what an ambiguous shape is taken for.", top_down, draw_top_down),
    Claim("video", "19:31", "A still image can be treated as a dull video by a recurrent net, greedy in time.", video),
    Claim("glom", "20:09", "Each layer may get bottom-up, top-down and lateral input from the time step before.", glom),
    Claim("agree", "21:51", "Goodness is high where top-down prediction and bottom-up input agree.", agree),
    Claim("moving", "23:29", "It works for videos that move too, if the motion is simple.", moving, draw_moving),
    Claim(
        "recurrent", "24:03", "A recurrent net, label at the top and pixels at the bottom, reaches 1.31 %.", recurrent
    ),
    Claim("low-activity", "25:09", "Low activity for positive data works better than high activity.", low_activity),
    Claim("from-start", "25:51", "Learning from the first iteration on works better than from the fourth.", from_start),
    Claim("cost", "26:12", "It takes three to five times as long as backprop, and several iterations.", cost),
    Claim(
        "cifar",
        "26:55",
        "On CIFAR-10, local fields, it is slightly worse than backprop, with two layers or three.",
        cifar,
    ),
    Claim(
        "relax",
        "29:14",
        "Top-down information diffuses to lower layers, thinner at each: through a few.",
        relax,
        draw_relax,
    ),
    Claim("gan", "32:32", "A generative model can predict from the hidden layers of its own greedy discriminator."),
    Claim("no-collapse", "34:18", "Sharing those layers removes the contest of two nets and mode collapse."),
    Claim("own-negatives", "34:55", "Whether a net can learn to supply its own negative data is open."),
    Claim(
        "analog",
        "35:54",
        "It runs on analog hardware that is noisy, unknown and never the same twice.",
        analog,
        draw_analog,
    ),
    Claim(
        "black-box",
        "36:43",
        "An unknown transformation between layers does not slow it down.",
        black_box,
        draw_black_box,
    ),
    Claim(
        "cancel",
        "37:52",
        "Contrasting positive with negative data cancels the noise that both passes share.",
        cancel,
        draw_cancel,
    ),
    Claim(
        "mortal",
        "38:42",
        "Weights that fit one piece of hardware cannot be copied; what they know can be taught.",
        mortal,
        draw_mortal,
    ),
    Claim("digital", "41:55", "Digital computers can share one model, each learning a part and averaging weights."),
    Claim("power", "41:38", "A hundred trillion connections can run on thirty watts.", power, draw_power),
    Claim(
        "regime",
        "06:03",
        "Cortex has many weights and little data, the opposite of backprop's use.",
        regime,
        draw_regime,
    ),
    Claim("cheap", "48:34", "Basic research of this kind needs little computing.", cheap),
    Claim(
        "hybrid", "paper section 3.2", "Without labels, hybrid images as negatives, it reaches 1.37 % on MNIST.", hybrid
    ),
    Claim(
        "local",
        "paper section 3.2",
        "The same with local receptive fields and peer normalization reaches 1.16 %.",
        local,
    ),
    Claim("aesop", "paper, draft only", "The next character can be learned from negatives that the net makes."),
    Claim("sleep", "paper, on sleep", "Positive and negative phases can be separated (claimed, then withdrawn)."),
)

LEDGER: dict[str, Claim] = {claim.id: claim for claim in _CLAIMS}


def find(name: str) -> Claim:
    """Return the claim called ``name``.

    Raises:
        SettingError: there is none; the nearest name is suggested.
    """
    if name not in LEDGER:
        raise unknown("claim", name, LEDGER)
    return LEDGER[name]


def run(
    name: str,
    size: str,
    *,
    runs: Path = RUNS,
    device: str = "auto",
    precision: str = "auto",
    data_dir: Path | None = None,
    progress: Watch | None = None,
) -> dict[str, Any]:
    """Measure a claim.

    Args:
        name: its id.
        size: smoke (seconds, on the embedded digits) or full (minutes to hours, on MNIST).
        runs: folder of the trainings; those that are already there are not repeated.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        data_dir: where data files are looked for first.
        progress: makes the progress display of each training, like `twofold.cli.progress.Bar`.

    Returns:
        The record, in values that JSON can hold: ``id, time, says, size``, the fields of `Finding`, ``seconds`` (of all
        its trainings), ``dataset``, ``official_data``, ``data`` (name -> fingerprints), ``environment``, ``trainings``
        (run -> the commit of the code that trained it, ``None`` where it is not known), their ``settings``, see
        `Lab.settings`, the ``date`` and, at full size, ``made_of``.

    Raises:
        SettingError: there is no such claim or size, or its experiment is not built.
    """
    claim = find(name)
    if claim.experiment is None:
        built = ", ".join(claim.id for claim in _CLAIMS if claim.experiment)
        raise SettingError(f"the experiment for claim {name!r} is not built yet: choose one of {built}")
    lab = Lab(size, runs, device, precision, data_dir, progress)
    finding = claim.experiment(lab)
    sources = lab.sources()
    made: dict[str, Any] = {"made_of": made_of(claim.experiment)} if size == "full" else {}
    return {
        "id": claim.id,
        "time": claim.time,
        "says": claim.says,
        "size": size,
        **asdict(finding),
        "seconds": round(lab.seconds(), 3),
        "dataset": ", ".join(sorted(sources)),
        "official_data": all(sources.values()),
        "data": lab.fingerprints(),
        "environment": machine.describe(machine.choose_device(device)),
        "trainings": lab.commits(),
        "settings": lab.settings(),
        "date": datetime.now(UTC).date().isoformat(),
        **made,
    }


def draw(
    name: str,
    size: str,
    path: Path,
    *,
    results: Path = RESULTS,
    runs: Path = RUNS,
    device: str = "auto",
    precision: str = "auto",
    data_dir: Path | None = None,
    progress: Watch | None = None,
) -> Path:
    """Draw the picture of a claim.

    Args:
        name: its id.
        size: smoke or full, as for `run`.
        path: the PNG to write.
        results: folder of the kept records; a record of this size is drawn if it has all that the picture needs.
        runs: folder of the trainings; nets that the picture needs and that are not there are trained.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        data_dir: where data files are looked for first.
        progress: makes the progress display of each training.

    Returns:
        The path.

    Raises:
        SettingError: there is no such claim or size, or the claim has no picture.
        RunError: the record is damaged or edited.
    """
    claim = find(name)
    if claim.draw is None:
        drawn = ", ".join(claim.id for claim in _CLAIMS if claim.draw)
        raise SettingError(f"claim {name!r} has no picture: choose one of {drawn}")
    lab = Lab(size, runs, device, precision, data_dir, progress)
    record, intact = read(name, results)
    if record is None or record["size"] != size:
        return claim.draw(lab, path, None)
    if not intact:
        raise RunError(
            f"{results / f'{name}.json'} is not as it was written, or of a version that did not write down its digest: "
            f"restore it, or run `{command(name)}` again"
        )
    said = status(record, intact, claim.experiment)
    if said.startswith("stale"):
        remark(f"the record of {name} is {said}; `{command(name)}` measures it again")
    return claim.draw(lab, path, record)


def listing(folder: Path) -> list[dict[str, Any]]:
    """List every claim with the figures of its result in ``folder``, its status and the command that measures it.

    The figures are ``None`` if no result is kept, and the command is ``None`` if no experiment is built. ``overturned``
    are the earlier verdicts that were different.
    """
    results = read_results(folder)
    return [
        {
            "id": claim.id,
            "time": claim.time,
            "says": claim.says,
            **{key: results.get(claim.id, {}).get(key) for key in SHOWN},
            "status": read_status(claim.id, folder),
            "overturned": overturned(results.get(claim.id, {})),
            "command": command(claim.id) if claim.experiment else None,
        }
        for claim in _CLAIMS
    ]


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the kept records by id, in the ledger's order; there are none if there is no such folder.

    Raises:
        RunError: a file is damaged.
    """
    records = {name: read_result(name, folder) for name in LEDGER}
    return {name: record for name, record in records.items() if record}


def read_status(name: str, folder: Path) -> str | None:
    """Whether the kept record of a claim speaks of today's code, see `records.status`; ``None`` if there is none."""
    record, intact = read(name, folder)
    return status(record, intact, find(name).experiment) if record else None
