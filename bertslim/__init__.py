"""bertslim makes fine-tuned BERT models smaller and faster.

Importing it teaches transformers' Auto classes and `pipeline()` the model types `slim_bert` and
`slim_lstm`. The lesson waits until transformers is there, so that `bertslim --help` never loads
torch.
"""

from bertslim.after_import import after_import

__version__ = "0.1.0"


def _teach_config() -> None:
    from bertslim.model.registration import register_config

    register_config()


def _teach_models() -> None:
    from bertslim.model.registration import register_models

    register_models()


after_import("transformers.models.auto.configuration_auto", _teach_config)
after_import("transformers.models.auto.modeling_auto", _teach_models)
