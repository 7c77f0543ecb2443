"""What a step hands to the model."""

import numpy as np
import pytest

from bertslim.train.batching import Batch
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective
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
