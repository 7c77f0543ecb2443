"""What each process of the distributed test runs; started by torchrun."""

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file
from transformers import PreTrainedModel

from bertslim.methods.distill.objective import first_map, objective_of
from bertslim.methods.distill.plan import plan
from bertslim.methods.distill.settings import distill_settings
from bertslim.train.loop import fit
from bertslim.train.records import recording
from bertslim.train.records.recording import Shelf, recorded_teacher
from bertslim.train.settings import TrainReport
from bertslim.train.stepping import join_processes
from bertslim.train.teacher import LiveTeacher, Teacher
from bertslim.train.thawing import thawing
from tests.train.training import classifier, sentences, settings, weights

# the last batch has one row, so that one of two processes has none
ROWS, RUN = 17, settings(accumulation=2)
OBJECTIVES = ("pkd", "tinybert", "logits")


def train(objective: str, folder: Path) -> tuple[PreTrainedModel, TrainReport]:
    """One student; all processes record its teacher but TinyBERT's, which is asked.

    That of the logits alone opens from the top down.
    """
    student, teacher, rows = classifier(), classifier(seed=7), sentences(ROWS)
    wishes = distill_settings(objective, 2.0, None, [], "skip", None)
    planned = plan(wishes, student.config, teacher.config)
    asked: Teacher = LiveTeacher(teacher, planned.asked)
    if planned.kept is not None:
        shelf, accelerator = Shelf(folder, "teacher", "fp32"), join_processes(torch.device("cpu"))
        asked = recorded_teacher(teacher, rows, planned.kept, shelf, accelerator)
    wanted = objective_of(planned, first_map(32, 32, seed=0))
    opened = thawing(student, RUN.steps(ROWS)) if objective == "logits" else None
    return fit(student, rows, wanted, RUN, teacher=asked, asked=planned.asked, before_step=opened)


def main(output: Path) -> None:
    recording.ROWS_PER_FILE = 4
    for objective in OBJECTIVES:
        model, report = train(objective, output / "answers")
        if PartialState().is_main_process:
            save_file(weights(model), output / f"{objective}.safetensors")
            losses = [dict(epoch) for epoch in report.losses]
            told = {"losses": losses, "processes": report.processes}
            (output / f"{objective}.json").write_text(json.dumps(told))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
