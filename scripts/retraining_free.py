"""What is left of a metric when heads and FFN units go without training, by the way they go.

Each row is a way to prune half of the encoder's FLOPs (or what --remove says), each column a task.
Training data is scored on, and held-out training data is what the metric is measured on; with
--reported it is the validation data.

python scripts/retraining_free.py MODEL TASK.toml [MODEL TASK.toml ...] [--remove 0.5]
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bertslim.methods.prune_heads.budget import Limits
from bertslim.methods.prune_heads.costs import flops_costs
from bertslim.methods.prune_heads.evidence import Evidence, evidence_from
from bertslim.methods.prune_heads.parts import KINDS
from bertslim.methods.prune_heads.plan import Method, PruneUnits
from bertslim.methods.prune_heads.tune import Form
from bertslim.methods.prune_heads.units import prune_units
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import (
    Examples,
    Sample,
    load_tokenizer,
    read_examples,
    read_tuning,
    selection_score,
)
from bertslim.train.task import load_task

FORMS: tuple[Form | None, ...] = (None, "scales", "projections")
WAYS: tuple[tuple[Method, bool], ...] = (
    ("gradient", False),
    ("gradient", True),
    ("fisher", False),
    ("fisher", True),
    ("surgeon", False),
)
"""What units are judged by, and whether they are rearranged."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A model, and what there is to prune and to measure it by."""

    name: str
    model: SlimBertPreTrainedModel
    evidence: Evidence
    tuning: Examples
    measured: Examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("pairs", nargs="+", help="MODEL TASK.toml, as many as you like")
    parser.add_argument("--remove", type=float, default=0.5, help="share of the encoder's FLOPs")
    parser.add_argument("--examples", type=int, default=2048, help="training rows to score on")
    parser.add_argument("--reported", action="store_true", help="measure on the validation data")
    options = parser.parse_args()
    pairs = zip(options.pairs[::2], options.pairs[1::2], strict=True)
    worlds = [world(model, Path(task), options.examples, options.reported) for model, task in pairs]
    table = Table("method", "rearranged", "tuned", *(w.name for w in worlds), "seconds")
    table.add_row("none", "", "", *(f"{metric(w.model, w):.4f}" for w in worlds), "")
    for way, rearrange in WAYS:
        for form in FORMS:
            started = time.perf_counter()
            found = [
                f"{metric(pruned(w, way, rearrange, form, options.remove), w):.4f}" for w in worlds
            ]
            cells = way, "yes" if rearrange else "no", form or "no"
            table.add_row(*cells, *found, f"{time.perf_counter() - started:.0f}")
    Console(width=120).print(table)


def world(directory: str, file: Path, examples: int, reported: bool) -> World:
    checkpoint, task = open_checkpoint(directory), load_task(file)
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint.path)
    drawn, tuning = read_tuning(task, model, tokenizer, Sample(examples, seed=0))
    measured = read_examples(task, "validation", model, tokenizer) if reported else tuning
    evidence = evidence_from(drawn, "example", batch_size=32)
    return World(file.stem, model, evidence, tuning, measured)


def pruned(
    world: World, method: Method, rearrange: bool, form: Form | None, remove: float
) -> SlimBertPreTrainedModel:
    settings = PruneUnits(
        method=method,
        costs=flops_costs(world.model.config, length=128),
        limits=Limits(KINDS, keep_at_least=1, multiple=8),
        remove=remove,
        rearrange=rearrange,
        tune=form,
        seed=0,
    )
    model, _ = prune_units(world.model, settings, world.evidence, world.tuning)
    return model


def metric(model: SlimBertPreTrainedModel, world: World) -> float:
    return selection_score(model, world.measured).value


if __name__ == "__main__":
    main()
