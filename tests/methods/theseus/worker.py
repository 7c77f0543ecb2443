"""What each process of the distributed test runs; started by torchrun."""

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file

from bertslim.methods.theseus.theseus import TheseusReport, theseus
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.task import load_task
from tests.methods.theseus.worlds import examples, wishes
from tests.train.training import settings, weights

RUN = settings(epochs=3, learning_rate=1e-3, accumulation=2)
# the last batch has one row, so that one of two processes has none
ROWS = 17


def train(folder: Path) -> tuple[SlimBertPreTrainedModel, TheseusReport]:
    """Replace by halves; in the last epoch embeddings and head learn as well."""
    model = load_model(open_checkpoint(folder / "model"))
    rows = examples(load_task(folder / "task.toml"), model, ROWS)
    return theseus(model, wishes(unfreeze=True), rows, rows, RUN)


def main(folder: Path) -> None:
    model, report = train(folder)
    if PartialState().is_main_process:
        save_file(weights(model), folder / "weights.safetensors")
        losses = [dict(epoch) for epoch in report.training.losses]
        told = {"losses": losses, "processes": report.training.processes}
        (folder / "report.json").write_text(json.dumps(told))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
