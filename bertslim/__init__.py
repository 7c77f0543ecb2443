"""bertslim makes fine-tuned BERT models smaller and faster.

Importing it teaches transformers' Auto classes and `pipeline()` the model type `slim_bert`. The
lesson waits until transformers is there, so that `bertslim --help` never loads torch.
"""

from types import ModuleType

import wrapt

__version__ = "0.1.0"


@wrapt.when_imported("transformers.models.auto.configuration_auto")
def _teach_config(_: ModuleType) -> None:
    from bertslim.model.registration import register_config

    register_config()


@wrapt.when_imported("transformers.models.auto.modeling_auto")
def _teach_models(_: ModuleType) -> None:
    from bertslim.model.registration import register_models

    register_models()
