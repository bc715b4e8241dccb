"""Tables of how fast and how large things are, from the records in results/bench/ and results/speed/."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

from markdown_table import NONE, ROOT, markdown

from twofold_lab.benchmarks.local import TITLES
from twofold_lab.benchmarks.memory import CONTENDERS
from twofold.cli.text import format_spread
from twofold_lab.benchmarks.time_to_error import mean_error
from twofold_lab.benchmarks.trainer import layers_of
from twofold.files import read_json

SPEED = ROOT / "results" / "speed"


def bench(name: str, folder: str = "") -> dict[str, Any] | None:
    """A committed record of `twofold bench`."""
    path = ROOT / "results" / "bench" / folder / f"{name}.json"
    found: dict[str, Any] | None = read_json(path) if path.exists() else None
    return found


def quartiles(figure: dict[str, float], digits: int = 2) -> str:
    """A median with its quartiles, each with so many decimals."""
    return format_spread(figure, lambda value: f"{value:.{digits}f}")


BENCHES = {
    command: record
    for command, record in (
        ("twofold bench epoch", bench("epoch")),
        ("twofold bench epoch --recipe mnist-wide", bench("epoch", "mnist-wide")),
        ("twofold bench roofline", bench("roofline")),
        ("twofold bench memory", bench("memory")),
        ("twofold bench time-to-error", bench("time-to-error")),
        ("twofold bench inference", bench("inference")),
        ("twofold bench local", bench("local")),
        ("twofold bench local --precision fp32", bench("local", "fp32")),
        ("twofold bench recurrent", bench("recurrent")),
        ("twofold bench recurrent --precision fp32", bench("recurrent", "fp32")),
    )
    if record
}
"""The committed benchmarks by their commands."""


def machines() -> str:
    """What the benchmarks ran on."""
    lines = []
    for name, record in BENCHES.items():
        where = record["environment"]
        lines.append(
            [f"`{name}`", record["precision"], where["processor"], str(where["threads"]), where["commit"] or "-"]
        )
    return markdown(["command", "precision", "processor", "threads", "commit"], lines) if lines else NONE


def epochs() -> str:
    """Seconds per epoch, as the recipes train and with nothing left out."""
    rows = []
    for command, record in BENCHES.items():
        if record["benchmark"] != "epoch":
            continue
        seconds = record["seconds"]
        rows.append(
            [
                f"`{command}`",
                *(quartiles(seconds[name]) for name in ("ff", "twin")),
                f"**{record['ff_over_bp']:.2f}**",
                f"{record['ff_over_bp_first']:.2f}",
                f"{record['ff_over_bp_every_case']:.2f}",
            ]
        )
    heads = ["command", "FF, s", "twin, s", "`ff_over_bp`", "first epoch", "nothing left out"]
    return markdown(heads, rows) if rows else NONE


def sweep() -> str:
    """FF over twin with nothing left out, for several nets."""
    record = BENCHES.get("twofold bench epoch")
    if not record:
        return NONE
    rows = [
        [
            layers_of(entry["widths"]),
            str(entry["batch"]),
            entry["precision"],
            *(quartiles(entry[name], 1) for name in ("ff", "twin")),
            quartiles(entry["ratio"]),
        ]
        for entry in record["sweep"]
    ]
    return markdown(["net", "batch", "precision", "FF, s", "twin, s", "FF / twin"], rows)


def roofline() -> str:
    """The share of the best matrix product's rate."""
    rows = []
    for command, record in BENCHES.items():
        if record["benchmark"] == "roofline":
            for name, title in (("ff", "FF, every case"), ("twin", "twin")):
                found = record[name]
                time = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in list(found["time"].items())[:5])
                figures_of = f"{found['gflop']:.1f}", quartiles(found["gflops"], 0), quartiles(found["fraction"])
                rows.append([f"`{command}`", title, *figures_of, time])
    heads = ["command", "", "GFLOP per batch", "GFLOP/s", "of the best product", "where the time goes"]
    return markdown(heads, rows) if rows else NONE


def memory() -> str:
    """Bytes of a training step beyond weights and optimizer state, against depth."""
    record = BENCHES.get("twofold bench memory")
    if not record:
        return NONE
    growth = {"ff": record["activation_growth"], **record["twin_activation_growth"]}
    rows = [
        [CONTENDERS[name][0], *(f"{held / 1e6:.1f}" for held in each), f"{growth[name]:.2f}"]
        for name, each in record["bytes"].items()
    ]
    return markdown(["MB", *(f"{depth} layers" for depth in record["depths"]), "growth"], rows)


def time_to_error() -> str:
    """Seconds of training until the test error is at most a target."""
    record = BENCHES.get("twofold bench time-to-error")
    if not record:
        return NONE
    rows = []
    for target, entry in record["targets"].items():
        for name, title in (("ff", "FF"), ("twin", "twin")):
            changes = ", ".join(f"{key} {value}" for key, value in entry["schedule"][name].items())
            test = entry["test"][name]
            error = mean_error(entry["runs"][name], test)
            ratio = "" if name == "twin" or entry["ratio"] is None else f"**{entry['ratio']:.2f}**"
            seconds = quartiles(entry["seconds"][name], 1)
            rows.append([f"{float(target):g} %", title, changes, seconds, f"{error:.2f} ({test})", ratio])
    heads = ["target", "", "schedule", "seconds", "mean test error %", "FF / twin"]
    return markdown(heads, rows)


def schedules() -> str:
    """The schedules of time-to-error that were tried with several seeds, in the order of what they cost."""
    path = SPEED / "schedules.json"
    if not path.exists():
        return NONE
    every = read_json(path)["trainings"]
    rows = []
    for side, title in (("ff", "FF"), ("twin", "twin")):
        kinds: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for each in every:
            if each["side"] == side:
                kinds.setdefault(tuple(each["schedule"].values()), []).append(each)
        several = [each for each in kinds.items() if len(each[1]) > 1]
        for kind, same in sorted(several, key=lambda item: fmean(each["seconds"] for each in item[1])):
            tests = ("slow", "fast", "both") if side == "ff" else (None, "fast", None)
            errors = [
                f"{fmean(each['validation error %'][test] for each in same):.2f}" if test else "" for test in tests
            ]
            seconds = f"{fmean(each['seconds'] for each in same):.1f}"
            rows.append([title, *map(str, kind), seconds, str(len(same)), *errors])
    return markdown(["", "batch", "epochs", "rate", "CPU s", "seeds", "slow %", "fast %", "both %"], rows)


def inference() -> str:
    """What a test costs."""
    record = BENCHES.get("twofold bench inference")
    if not record:
        return NONE
    rows = []
    for name, passes in record["passes_per_image"].items():
        relative = record["seconds"][name]["median"] / record["seconds"]["fast"]["median"]
        rate = f"{record['images_per_second'][name]['median']:,.0f}"
        rows.append([name, str(passes), rate, f"{relative:.2f}", quartiles(record["latency_ms"][name])])
    return markdown(["test", "passes per image", "images per second", "time / fast", "one image, ms"], rows)


def ideas() -> str:
    """What each idea of the fast path is worth."""
    found = {path.stem.removeprefix("ideas-"): read_json(path) for path in sorted(SPEED.glob("ideas-*.json"))}
    names = list(dict.fromkeys(name for record in found.values() for name in record["ideas"] if name != "all of them"))
    rows = []
    for name in names:
        predicted = next(record["ideas"][name]["predicted"] for record in found.values())
        rows.append(
            [name, f"{predicted:.2f}", *(quartiles(record["ideas"][name]["ratio"]) for record in found.values())]
        )
    return markdown(["idea", "predicted", *(f"`{name}`" for name in found)], rows) if rows else NONE


def compiled() -> str:
    """What compiled functions gained before they were removed."""
    record = read_json(SPEED / "compiled.json")
    rows = [[name, quartiles(one["gain"])] for name, one in record["nets"].items()]
    return markdown(["net, in bf16", "time without `torch.compile` / with it: median (lowest to highest of 9)"], rows)


def products() -> str:
    """The rate of a layer's product in several ways."""
    found = {
        path.stem.removeprefix("ideas-"): read_json(path)["products"] for path in sorted(SPEED.glob("ideas-*.json"))
    }
    names = next(iter(found.values()), {})
    rows = [[name, *(quartiles(record[name], 0) for record in found.values())] for name in names]
    return markdown(["GFLOP/s", *(f"`{name}`" for name in found)], rows) if rows else NONE


def local_speed() -> str:
    """A batch of learning of a local layer, in several ways of computing the same."""
    rows = []
    for name, record in BENCHES.items():
        if name.startswith("twofold bench local"):
            for way, title in TITLES.items():
                times = [
                    {key: 1000 * value for key, value in record[kind][way].items()} for kind in ("learn", "forward")
                ]
                stored = f"{record['stored'][way] / record['weights']:.2f}"
                ratio = quartiles(record["ratio"][way])
                rows.append([f"{title}, {record['precision']}", *(quartiles(each, 1) for each in times), ratio, stored])
    heads = ["", "learning, ms", "forward, ms", "times the tiles", "stored / existing weights"]
    return markdown(heads, rows) if rows else NONE


def recurrent_speed() -> str:
    """The recurrent net's rate of products and seconds per epoch."""
    records = [record for name, record in BENCHES.items() if name.startswith("twofold bench recurrent")]
    rows = [
        [
            f"{name}, {record['precision']}",
            f"{record['seconds_per_epoch'][name]:.2f}",
            f"{record[name]['gflop']:.2f}",
            quartiles({key: 1000 * seconds for key, seconds in record[name]["seconds"].items()}, 1),
            quartiles(record[name]["gflops"], 0),
            quartiles(record[name]["fraction"]),
        ]
        for record in records
        for name in ("recurrent", "ff", "twin")
    ]
    heads = ["", "s per epoch", "GFLOP per batch", "ms per batch", "GFLOP/s", "of the best product"]
    return markdown(heads, rows) if rows else NONE


def recurrent_memory() -> str:
    """What an update of the recurrent net holds, by iterations and frames."""
    record = BENCHES.get("twofold bench recurrent")
    if not record:
        return NONE
    rows = [
        [name, *(f"{held / 1e6:.1f}" for held in each), f"{record['growth'][name]:.3f}"]
        for name, each in record["held"].items()
    ]
    return markdown(["MB held", *(str(length) for length in record["lengths"]), "growth"], rows)


def sampling() -> str:
    """Errors on held-out images with sampling and with nothing left out, mean and deviation over seeds."""
    path = SPEED / "sampling.json"
    if not path.exists():
        return NONE
    every = read_json(path)["trainings"]
    rows = []
    for kind in dict.fromkeys((each["recipe"], each["tolerance"], each["revisit"]) for each in every):
        same = [each for each in every if (each["recipe"], each["tolerance"], each["revisit"]) == kind]
        tests = [[each["validation error %"][test] for each in same] for test in ("slow", "fast", "both")]
        cells = [f"{fmean(errors):.2f}" + (f" ± {stdev(errors):.2f}" if len(errors) > 1 else "") for errors in tests]
        learned = f"{same[0]['images']:,}, {same[0]['epochs']} epochs"
        visits = f"{fmean(each['visits'] for each in same):.2f}"
        rows.append([kind[0], learned, *map(str, kind[1:]), str(len(same)), visits, *cells])
    head = ["recipe", "images", "tolerance", "revisit", "seeds", "visits", "slow %", "fast %", "both %"]
    return markdown(head, rows)


TABLES = {
    "sampling": sampling,
    "machines": machines,
    "epochs": epochs,
    "sweep": sweep,
    "roofline": roofline,
    "memory": memory,
    "time-to-error": time_to_error,
    "schedules": schedules,
    "inference": inference,
    "ideas": ideas,
    "compiled": compiled,
    "products": products,
    "local-speed": local_speed,
    "recurrent-speed": recurrent_speed,
    "recurrent-memory": recurrent_memory,
}
