"""What is left of a metric when heads and FFN units go without training, by the way they go.

Each row is a way to prune half of the encoder's FLOPs (or what --remove says), each column a task.
Training data is scored on, and held-out training data is what the metric is measured on; with
--reported it is the validation data.

python scripts/retraining_free.py MODEL TASK.toml [MODEL TASK.toml ...] [--remove 0.5]
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bertslim.console import note
from bertslim.methods.prune_heads.budget import Limits
from bertslim.methods.prune_heads.costs import flops_costs
from bertslim.methods.prune_heads.evidence import Evidence, evidence_from
from bertslim.methods.prune_heads.parts import KINDS, cut
from bertslim.methods.prune_heads.plan import Method, PruneUnits, chosen, scored
from bertslim.methods.prune_heads.tune import Form, tune
from bertslim.methods.prune_heads.units import masked_metric
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
WAYS: Mapping[Method, tuple[bool, ...]] = {
    "gradient": (False, True),
    "fisher": (False, True),
    "surgeon": (False,),
}
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
    columns = [dict(rows(world, options.remove)) for world in worlds]
    table = Table("method", "rearranged", "tuned", *(world.name for world in worlds))
    for way in columns[0]:
        table.add_row(*way, *(f"{column[way]:.4f}" for column in columns))
    Console(width=120).print(table)


def rows(world: World, remove: float) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Yield the metric of the model as it is, and of each way to prune it."""
    yield ("none", "", ""), metric(world.model, world)
    for method, rearranging in WAYS.items():
        wanted = settings(world.model, method, remove)
        scores = scored(world.model, wanted, world.evidence)
        for rearrange in rearranging:
            choice = replace(wanted, rearrange=rearrange)
            kept, _ = chosen(scores, choice, remove, masked_metric(world.model, world.tuning))
            for form in FORMS:
                slim = cut(world.model, kept)
                if form is not None:
                    tune(slim, world.model, world.evidence, form)
                way = method, "yes" if rearrange else "no", form or "no"
                found = metric(slim, world)
                note(f"{world.name} {' '.join(way)}: {found:.4f}")
                yield way, found


def world(directory: str, file: Path, examples: int, reported: bool) -> World:
    checkpoint, task = open_checkpoint(directory), load_task(file)
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint.path)
    drawn, tuning = read_tuning(task, model, tokenizer, Sample(examples, seed=0))
    measured = read_examples(task, "validation", model, tokenizer) if reported else tuning
    evidence = evidence_from(drawn, "example", batch_size=32)
    return World(file.stem, model, evidence, tuning, measured)


def settings(model: SlimBertPreTrainedModel, method: Method, remove: float) -> PruneUnits:
    return PruneUnits(
        method=method,
        costs=flops_costs(model.config, length=128),
        limits=Limits(KINDS, keep_at_least=1, multiple=8),
        remove=remove,
        rearrange=False,
        tune=None,
        seed=0,
    )


def metric(model: SlimBertPreTrainedModel, world: World) -> float:
    return selection_score(model, world.measured).value


if __name__ == "__main__":
    main()
