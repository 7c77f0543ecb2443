"""A model as a plain function from padded arrays to named arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bertslim.model.modeling import Gates
from bertslim.model.outputs import OUTPUTS
from bertslim.model.slim import SlimModel


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
