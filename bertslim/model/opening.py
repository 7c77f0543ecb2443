"""From a checkpoint to the model, whatever kind of model it is."""

from bertslim.model.loading import load_model
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.loading import load_lstm
from bertslim.model.slim import SlimModel
from bertslim.store.checkpoint import Checkpoint


def is_recurrent(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint holds a recurrent model."""
    return checkpoint.config.get("model_type") == SlimLstmConfig.model_type


def open_model(checkpoint: Checkpoint) -> SlimModel:
    """Open a model with the head it was saved with, in evaluation mode and fp32.

    Raises:
        CheckpointError: With everything that is missing, superfluous, misshapen or not finite.
    """
    return load_lstm(checkpoint) if is_recurrent(checkpoint) else load_model(checkpoint)
