import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bertslim.train.batching import Batch
from bertslim.train.loop import fit
from bertslim.train.resume import ResumeFolder
from bertslim.train.teacher import LiveTeacher
from tests.train.training import assert_equal, classifier, sentences, settings, weights


class Adapted(torch.nn.Module):
    """Learns a linear map from the student's first states to the teacher's."""

    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.Linear(32, 32, bias=False)
        torch.nn.init.zeros_(self.map.weight)

    def forward(self, student: Any, taught: Any, _batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        z, v = (outputs.hidden_states[-1] for outputs in (student, taught))
        return {"states": (self.map(z) - v).square().mean()}


def test_an_objective_with_weights_learns_and_resumes(tmp_path: Path) -> None:
    asked = {"output_first_states": True}

    def train(stop_at: int | None) -> tuple[Adapted, Any]:
        def prepare(batch: Batch, _random: np.random.Generator) -> Batch:
            if next(steps) == stop_at:
                signal.raise_signal(signal.SIGINT)
            return batch

        steps, objective = iter(range(99)), Adapted()
        folder = ResumeFolder(tmp_path, 1e9) if stop_at != 99 else None
        teacher = LiveTeacher(classifier(seed=7), asked)
        run = settings(epochs=3, learning_rate=5e-3)
        model, report = fit(
            classifier(),
            sentences(32),
            objective,
            run,
            teacher=teacher,
            asked=asked,
            prepare=prepare,
            resume=folder,
        )
        return objective, (report.losses, weights(model))

    whole, (losses, learnt) = train(stop_at=99)
    assert losses[-1]["states"] < 0.8 * losses[0]["states"]
    assert whole.map.weight.abs().max() > 0
    with pytest.raises(KeyboardInterrupt):
        train(stop_at=5)
    resumed, (again, also_learnt) = train(stop_at=None)
    assert again == losses
    assert torch.equal(resumed.map.weight, whole.map.weight)
    assert_equal(also_learnt, learnt)


def test_a_teacher_may_read_rows_of_its_own() -> None:
    """Word 60 stands for each word that the student reads: what is shuffled stays together."""
    theirs = sentences(32).map(lambda row: {"input_ids": [60] * len(row["input_ids"])})
    seen = []

    def compare(student: Any, taught: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        ids = torch.where(batch["attention_mask"] == 1, 60, 0)
        with torch.no_grad():
            expected = teacher(input_ids=ids, attention_mask=batch["attention_mask"]).logits
        seen.append(torch.equal(taught.logits, expected))
        return {"task": student.loss}

    teacher = classifier(seed=7).eval()
    fit(classifier(), sentences(32), compare, settings(), teacher=LiveTeacher(teacher, rows=theirs))
    assert len(seen) == 8
    assert all(seen)
