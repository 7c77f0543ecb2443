"""Whether replacing by and by is worth it, and what the cheaper modules save.

python scripts/theseus.py MODEL TASK.toml [--successors layers=1/2] [--seeds 0 1 2]
    [--ways linear constant "one step"] [--lengths 128] [--runtimes openvino] [--output DIR]
    [-- more options of `bertslim theseus`, such as --epochs 3 --learning-rate 1e-4]

Fewer layers, shared keys and values, local attention:

    ... models/sst2 sst2.toml -- --epochs 3
    ... models/sst2 sst2.toml --successors kv-heads=1 kv-heads=3 --lengths 128 384 -- --epochs 2
    ... models/squad squad.toml --successors window=64 --lengths 384 -- --batch-size 16

All ways have the same steps, learning rates and data, and leave embeddings and head alone; `one
step` is the successor fine-tuned from the first step on. Each run is a directory in DIR, and so are
the times: an interrupted script goes on where it was, and what is there is not done again. It
prints tables for a page.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from steps import report_of

ONE_STEP = ("--schedule", "constant", "--rate", "1")
WAYS: Mapping[str, Sequence[str]] = {
    "linear": (),
    "constant": ("--schedule", "constant", "--rate", "0.5"),
    "one step": ONE_STEP,
    "anti": ("--schedule", "anti"),
    "linear, means": ("--sharing", "index"),
    "one step, means": (*ONE_STEP, "--sharing", "index"),
    "linear + KD": ("--distill", "0.5"),
    "one step + KD": (*ONE_STEP, "--distill", "0.5"),
}
"""Of `means` the shared keys and values are, where others are fitted."""

Report = Mapping[str, Any]


def main() -> None:
    options, more = parse_options()
    wanted = list(product(options.successors, options.ways))
    # seed by seed: what an interrupted script leaves can be compared
    rounds = [{sort: run(options, *sort, seed, more) for sort in wanted} for seed in options.seeds]
    reports = {sort: [done[sort] for done in rounds] for sort in wanted}
    seeds = " ".join(map(str, options.seeds))
    print(f"\n{options.model.name} on {options.task.stem}, seeds {seeds} {' '.join(more)}\n")
    print("\n".join(scores(reports)))
    print("\n" + "\n".join(costs(times(options), options)))


def parse_options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="fine-tuned on the task: the predecessor")
    parser.add_argument("task", type=Path)
    parser.add_argument("--successors", nargs="+", default=["layers=1/2"], metavar="KINDS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    usual = ["linear", "constant", "one step"]
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=usual, metavar="WAY")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128])
    parser.add_argument("--runtimes", nargs="+", default=["openvino"])
    parser.add_argument("--batch", type=int, default=1, help="sequences in a batch that is timed")
    parser.add_argument("--seconds", type=float, default=10, help="for each that is timed")
    parser.add_argument("--output", type=Path, default=Path("build/theseus"))
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    return parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]


def place(options: argparse.Namespace, successor: str, way: str, seed: int) -> Path:
    words = "-".join([options.model.name, successor, way, f"seed{seed}"])
    output: Path = options.output
    return output / words.replace("/", "of").replace(" ", "").replace(",", "-")


def run(
    options: argparse.Namespace, successor: str, way: str, seed: int, more: Sequence[str]
) -> Report:
    """Let the command do it, or find it done; return its report."""
    output = place(options, successor, way, seed)
    given = ["--task", options.task, "--successor", successor, "--seed", seed]
    words = [*map(str, given), *WAYS[way], *fitting(way, more)]
    return report_of(["theseus", str(options.model), *words], output)


def fitting(way: str, more: Sequence[str]) -> list[str]:
    """Leave out where the line ends of a way that has none."""
    words = list(more)
    if "constant" in WAYS[way] and "--full-at" in words:
        at = words.index("--full-at")
        del words[at : at + 2]
    return words


def scores(reports: Mapping[tuple[str, str], Sequence[Report]]) -> Iterator[str]:
    """A line for each way: the mean over seeds, their range, and what is left."""
    before = next(iter(reports.values()))[0]["before"]["score"]
    whole = before["value"]
    yield from header("successor", "way", before["metric"], "lowest", "highest", "change", "kept")
    yield row("predecessor", "", f"{whole:.4f}", "", "", "", "")
    for (successor, way), found in reports.items():
        values = [report["after"]["score"]["value"] for report in found]
        mean = statistics.mean(values)
        figures = [f"{value:.4f}" for value in (mean, min(values), max(values))]
        change = f"{100 * (mean - whole):+.2f}"
        yield row(f"`{successor}`", way, *figures, change, f"{100 * mean / whole:.1f} %")


def times(options: argparse.Namespace) -> list[Report]:
    """Time the predecessor and one of each sort in turns, unless that was done."""
    way, seed = options.ways[0], options.seeds[0]
    models = [options.model, *(place(options, s, way, seed) for s in options.successors)]
    shape = ["--batch", str(options.batch), "--length", ",".join(map(str, options.lengths))]
    asked = [*map(str, models), *shape, "--runtime", ",".join(options.runtimes)]
    asked += ["--seconds", str(options.seconds), "--no-memory"]
    file = options.output / "times.json"
    saved = json.loads(file.read_text()) if file.exists() else {}
    if saved.get("asked") != asked:
        command = [sys.executable, "-m", "bertslim", "bench", *asked, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        saved = {"asked": asked, "rows": json.loads(done.stdout)["rows"]}
        file.write_text(json.dumps(saved))
    rows: list[Report] = saved["rows"]
    return rows


def costs(rows: Sequence[Report], options: argparse.Namespace) -> Iterator[str]:
    """What each successor has, computes and takes, as shares of the predecessor's."""
    names = dict(
        zip(
            dict.fromkeys(row["checkpoint"] for row in rows), ["", *options.successors], strict=True
        )
    )
    whole = {shape_of(found): found for found in rows if not names[found["checkpoint"]]}
    yield from header("successor", "runtime", "length", "parameters", "FLOPs", "ms", "speed")
    for found in rows:
        name, latency, (runtime, length) = (
            names[found["checkpoint"]],
            found["latency"],
            shape_of(found),
        )
        shares = [
            f"{100 * found[what] / whole[runtime, length][what]:.1f} %"
            for what in ("parameters", "flops")
        ]
        took = ("", found["reason"])
        if latency:
            low, high = latency["speedup_low"], latency["speedup_high"]
            took = (f"{latency['p50']:.2f}", f"{latency['speedup']:.2f} ({low:.2f}-{high:.2f})")
        yield row(f"`{name}`" if name else "predecessor", runtime, str(length), *shares, *took)


def shape_of(found: Report) -> tuple[str, int]:
    return found["runtime"], found["shape"]["length"]


def header(*names: str) -> Iterator[str]:
    yield row(*names)
    yield row(*("---" for _ in names))


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
