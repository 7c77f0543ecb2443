"""From a checkpoint to the model, whatever kind of model it is."""

from collections.abc import Sequence

from bertslim.model.loading import load_for_task, load_model
from bertslim.model.lstm.loading import load_lstm, load_lstm_for_task
from bertslim.model.slim import SlimModel
from bertslim.store.checkpoint import Checkpoint


def open_model(checkpoint: Checkpoint) -> SlimModel:
    """Open a model with the head it was saved with, in evaluation mode and fp32.

    Raises:
        CheckpointError: With everything that is missing, superfluous, misshapen or not finite.
    """
    return load_lstm(checkpoint) if checkpoint.is_recurrent else load_model(checkpoint)


def open_for_task(
    checkpoint: Checkpoint,
    kind: str,
    labels: Sequence[str] = (),
    *,
    unnamed: Sequence[str] = (),
    seed: int = 0,
) -> SlimModel:
    """Open a model with the head that a kind of task needs; see `load_for_task`.

    Raises:
        CheckpointError: As `open_model`, or if a new head is needed and there are no labels, or a
            recurrent model has none of this kind.
    """
    load = load_lstm_for_task if checkpoint.is_recurrent else load_for_task
    return load(checkpoint, kind, labels, unnamed=unnamed, seed=seed)
