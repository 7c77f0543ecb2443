"""PyTorch: the reference that every other engine is compared with."""

import copy

import torch

from bertslim.errors import UnavailableError
from bertslim.model.running import run_model
from bertslim.model.slim import SlimModel
from bertslim.runtime.engine import (
    INSTEAD_OF_BF16,
    NO_BF16,
    Batch,
    EngineSettings,
    Outputs,
    Source,
)
from bertslim.train.precision import computes_bf16


class TorchEngine:
    """The model itself, without gradients."""

    runtime = "torch"

    def __init__(self, model: SlimModel, precision: str) -> None:
        self.precision = precision
        self._model = model

    def run(self, batch: Batch) -> Outputs:
        """Compute the outputs of one padded batch."""
        return run_model(self._model, batch)

    def close(self) -> None:
        """Let go of the model."""
        del self._model


def build(source: Source, precision: str, settings: EngineSettings) -> TorchEngine:
    """Set the threads of the process and put the model, or its bf16 copy, into inference mode.

    Raises:
        UnavailableError: If bf16 is asked for where it would be emulated.
    """
    if precision == "bf16" and not computes_bf16(torch.device("cpu")):
        raise UnavailableError(NO_BF16, INSTEAD_OF_BF16)
    torch.set_num_threads(settings.threads)
    model = copy.deepcopy(source.model).bfloat16() if precision == "bf16" else source.model
    model.train(mode=False)
    return TorchEngine(model, precision)
