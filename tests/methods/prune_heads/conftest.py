from pathlib import Path

import pytest

from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint


@pytest.fixture
def model(tiny: Path) -> SlimBertPreTrainedModel:
    """A classifier of two layers with four heads each."""
    return load_model(open_checkpoint(tiny))
