"""What a step hands to the model."""

import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from bertslim.train.batching import Batch
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective
from bertslim.train.resume import ResumeFolder
from tests.train.training import classifier, sentences, settings


@pytest.mark.parametrize(("padding", "filling"), [(None, 0), (9, 9)])
def test_short_rows_are_filled_even_if_no_word_is_set_aside_for_it(
    padding: int | None, filling: int
) -> None:
    model = classifier()
    model.config.pad_token_id = padding
    seen: list[Batch] = []

    def watch(batch: Batch, _random: np.random.Generator) -> Batch:
        seen.append(batch)
        return batch

    fit(model, sentences(16), labels_objective, settings(epochs=1), prepare=watch)
    ids = np.concatenate([batch["input_ids"][batch["attention_mask"] == 0] for batch in seen])
    assert set(ids.tolist()) == {filling}


def test_a_curriculum_is_told_every_step_also_after_a_resume(tmp_path: Path) -> None:
    told: list[int] = []

    def tell(step: int) -> None:
        told.append(step)
        if len(told) == 3:
            signal.raise_signal(signal.SIGINT)

    folder = ResumeFolder(tmp_path, 1e9)
    for _ in range(2):
        with suppress(KeyboardInterrupt):
            fit(
                classifier(),
                sentences(16),
                labels_objective,
                settings(),
                before_step=tell,
                resume=folder,
            )
    assert told == [0, 1, 2, 3]
