"""A model as a plain function from padded arrays to named arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bertslim.model.lstm.modeling import SlimLstmForTokenClassification
from bertslim.model.modeling import Gates
from bertslim.model.signature import OUTPUTS
from bertslim.model.slim import SlimModel

Decode = Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[np.int64]]
"""(logits (batch, length, labels), words (batch, length)) -> the number of each word's label."""


def decoder_of(model: SlimModel) -> Decode | None:
    """Return how the logits of a model with a CRF become tags; None: each word's by themselves.

    What comes back asks the model itself, which may learn meanwhile.
    """
    if not isinstance(model, SlimLstmForTokenClassification) or model.crf is None:
        return None

    def decode(logits: npt.NDArray[Any], words: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        device = next(model.parameters()).device
        tensors = (torch.tensor(array, device=device) for array in (logits, words))
        tags: npt.NDArray[np.int64] = model.decode(*tensors).cpu().numpy()
        return tags

    return decode


def run_model(
    model: SlimModel,
    batch: Mapping[str, npt.NDArray[Any]],
    gates: Gates | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Compute the outputs of one padded batch, without gradients.

    Args:
        model: In evaluation mode, on any device.
        batch: `input_ids`, `attention_mask` and perhaps `token_type_ids`, (batch, length).
        gates: What is switched off, in a transformer.

    Returns:
        Those of `OUTPUTS` that the model has.
    """
    device = next(model.parameters()).device
    inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
    more = {} if gates is None else {"gates": gates}
    with torch.inference_mode():
        outputs = model(**inputs, **more)
    found = {name: outputs[name] for name in OUTPUTS if outputs.get(name) is not None}
    return {name: values.float().cpu().numpy() for name, values in found.items()}
