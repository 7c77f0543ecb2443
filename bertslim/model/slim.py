"""What all models here are: a transformer, or a small recurrent model.

Both are called alike (`input_ids`, `attention_mask`, perhaps `token_type_ids` and `labels`), return
`loss` and `logits`, and their configurations tell alike what they read: `vocab_size`, `padding_id`,
`positions`, `reads_token_types`, `id2label`, `num_labels`, `problem_type`.
"""

from bertslim.model.configuration import SlimBertConfig
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel
from bertslim.model.modeling import SlimBertPreTrainedModel

SlimModel = SlimBertPreTrainedModel | SlimLstmPreTrainedModel
SlimConfig = SlimBertConfig | SlimLstmConfig


def head_of_class(name: str) -> str:
    """Return the end of one of our class names that tells the head: `ForMaskedLM`, or `Model`."""
    return name.removeprefix("SlimBert").removeprefix("SlimLstm")


def head_of_model(model: SlimModel | SlimConfig) -> str:
    """Return the same of a model, or of the one that a configuration describes."""
    if isinstance(model, SlimConfig):
        return head_of_class((model.architectures or ["Model"])[0])
    return head_of_class(type(model).__name__)
