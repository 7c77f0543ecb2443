"""What each process of the distributed test runs; started by torchrun."""

import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import save_file
from transformers import PreTrainedModel

from bertslim.model.multitask import MultiTaskModel
from bertslim.train.batching import Batch
from bertslim.train.feeding import Prepare
from bertslim.train.loop import Course, fit, fit_tasks
from bertslim.train.objectives import labels_objective
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport
from tests.train.training import (
    assert_equal,
    classifier,
    sentences,
    settings,
    tagged,
    tagger,
    weights,
)

# 17 rows in batches of 8: the last batch has one row, so that other processes have none.
ROWS, RUN = 17, settings(accumulation=2)


@dataclass(frozen=True)
class Value:
    value: float


def evaluate(model: PreTrainedModel) -> Value:
    """A figure that only the first process knows."""
    if not PartialState().is_main_process:
        raise RuntimeError("only the first process evaluates")
    return Value(float(model.classifier.weight.detach().sum()))


def train(
    folder: Path | None = None, prepare: Prepare | None = None
) -> tuple[PreTrainedModel, TrainReport]:
    resume = None if folder is None else ResumeFolder(folder, 1e9)
    return fit(
        tagger(),
        tagged(ROWS),
        labels_objective,
        RUN,
        evaluate=evaluate,
        prepare=prepare,
        resume=resume,
    )


def train_tasks() -> tuple[MultiTaskModel, TrainReport]:
    """Two tasks in turns: in every step one of the heads has no part."""
    model = MultiTaskModel({"texts": classifier(), "tags": tagger()})
    rows = {"texts": sentences(ROWS), "tags": tagged(ROWS)}
    courses = {name: Course(own, labels_objective) for name, own in rows.items()}
    return fit_tasks(model, courses, RUN, balance=0.5)


def interrupt_the_last_process(folder: Path) -> None:
    """Let only the last process get a signal; all have to stop."""
    steps = iter(range(1, 100))

    def prepare(batch: Batch, _random: np.random.Generator) -> Batch:
        state = PartialState()
        if next(steps) == 3 and state.process_index == state.num_processes - 1:
            signal.raise_signal(signal.SIGTERM)
        return batch

    try:
        train(folder, prepare)
    except KeyboardInterrupt:
        return
    raise RuntimeError("the run was not interrupted")


def main(output: Path) -> None:
    model, report = train()
    interrupt_the_last_process(output / "state")
    resumed, resumed_report = train(output / "state")
    assert_equal(weights(resumed), weights(model))
    assert resumed_report.losses == report.losses
    tasks, tasks_report = train_tasks()
    if PartialState().is_main_process:
        save_file(weights(tasks), output / "tasks.safetensors")
        tasks_losses = [dict(epoch) for epoch in tasks_report.losses]
        (output / "tasks.json").write_text(json.dumps(tasks_losses))
        save_file(weights(model), output / "weights.safetensors")
        losses = [dict(epoch) for epoch in report.losses]
        told = {"losses": losses, "metrics": report.metrics, "processes": report.processes}
        (output / "report.json").write_text(json.dumps(told))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
