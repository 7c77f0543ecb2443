"""What there is to know about a family of stock models."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ENCODER = "Model"
SEQUENCES = "ForSequenceClassification"
TOKENS = "ForTokenClassification"
SPANS = "ForQuestionAnswering"
WORDS = "ForMaskedLM"

SAME_SETTINGS: tuple[str, ...] = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "initializer_range",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)
"""Settings that most families have under our name."""


@dataclass(frozen=True, slots=True)
class Family:
    """How a family of stock models names what `SlimBertModel` has.

    Tensor names are those of modules, without `.weight` and `.bias`; `{}` is the layer's number.

    Attributes:
        model_type: `model_type` in config.json.
        classes: What its class names start with: `Bert` of `BertForMaskedLM`.
        prefix: What the encoder's tensors start with under a head.
        settings: Our name of a setting -> theirs, beyond or in place of `SAME_SETTINGS`.
        fixed: Our settings that the family's code has no choice in.
        encoder: Our module -> theirs, without `bert.` and without `prefix`.
        heads: End of the class name -> our module -> theirs, complete names, poolers among them.
        poolers: End of the class name -> activation of its pooler.
        tied: Tensor that repeats another -> that other tensor.
        tokenizer: Class of its tokenizer.
        counts_padding_out: Positions start behind the padding token's id (RoBERTa).
        aliases: Classes that count as another: their end -> the other's end.
        ignored: Modules of heads that pre-training leaves behind.
    """

    model_type: str
    classes: str
    prefix: str
    settings: Mapping[str, str]
    fixed: Mapping[str, object]
    encoder: Mapping[str, str]
    heads: Mapping[str, Mapping[str, str]]
    poolers: Mapping[str, str]
    tied: Mapping[str, str]
    tokenizer: str
    counts_padding_out: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def all_settings(self) -> dict[str, str]:
        """Our name of every setting -> theirs."""
        return {name: name for name in SAME_SETTINGS} | dict(self.settings)

    def stock_name(self, name: str, head: str) -> str:
        """Their name of our tensor in a model whose class ends in `head`."""
        heads = self.heads[head]
        if name in heads:
            return heads[name]
        module, _, kind = name.rpartition(".")
        if module in heads:
            return f"{heads[module]}.{kind}"
        parts = module.removeprefix("bert.").split(".")
        number = next((part for part in parts if part.isdigit()), "")
        pattern = ".".join("{}" if part.isdigit() else part for part in parts)
        return f"{self.prefix}.{self.encoder[pattern].format(number)}.{kind}"
