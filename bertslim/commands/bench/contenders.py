"""From a checkpoint to what `bench` compares: a model with its graphs, its data and its size."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bertslim.commands.graphs import ranges_from, stored_graph, written_graphs
from bertslim.errors import about
from bertslim.store.checkpoint import Checkpoint
from bertslim.store.deployment import GRAPH, read_deployment
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.runtime.contenders import Contender
    from bertslim.runtime.plan import Plan


def contender(name: str, checkpoint: Checkpoint, task: Task | None, plan: "Plan") -> "Contender":
    """Load a checkpoint; one that was deployed takes part with the graph beside it.

    Raises:
        CheckpointError: If it cannot be read.
        DataError: If the task's data cannot be used with it.
    """
    from bertslim.model.opening import open_model
    from bertslim.runtime.contenders import Contender
    from bertslim.train.examples import load_tokenizer, read_examples, score_run, suited
    from bertslim.train.traffic import traffic

    deployment = read_deployment(checkpoint.path)
    model = open_model(checkpoint)
    cells = plan.cells(deployment)
    if deployment:
        graph, size = stored_graph(checkpoint), (checkpoint.path / GRAPH).stat().st_size
    else:
        graph = written_graphs(model, ranges_from(model, checkpoint, task, plan.seed))
        size = checkpoint.size_in_bytes()
    if task is None:
        return Contender(name, model, checkpoint.path, graph, cells, size)
    with about(name):
        suited(task, model)
    examples = read_examples(task, "validation", model, load_tokenizer(checkpoint.path))
    return Contender(
        name,
        model,
        checkpoint.path,
        graph,
        cells,
        size,
        score=lambda run: score_run(run, examples),
        traffic=functools.partial(traffic, examples, seed=plan.seed),
    )


def numbered(names: Sequence[str]) -> list[str]:
    """Tell apart a checkpoint that is given twice, which shows how far times scatter."""
    return [
        f"{n} ({names[: i + 1].count(n)})" if n in names[:i] else n for i, n in enumerate(names)
    ]
