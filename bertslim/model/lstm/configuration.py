"""The configuration of a small recurrent model: what it reads words with, and how it sums them up.

Like `modeling.py`, this file is copied into checkpoints.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from transformers import PreTrainedConfig

Pooling = Literal["ends", "attention", "max"]
"""How the states of a text become one vector: the last state of each direction (Tang et al. 2019),
a mean weighed by attention (Liu et al. 2019), or the largest value of each channel."""


class SlimLstmConfig(PreTrainedConfig):
    """Settings of the `SlimLstm` models."""

    model_type: ClassVar[str] = "slim_lstm"

    vocab_size: int = 30522
    embedding_size: int = 300
    characters: int = 0
    """Rows of the table of characters, of which row 0 fills short words; 0: words are not spelt."""
    word_length: int = 12
    """Characters that a word is spelt with; longer ones are cut."""
    character_size: int = 16
    character_filters: int = 128
    character_kernel: int = 3
    """Width of the convolution over characters; odd."""
    hidden_size: int = 150
    """Channels of one direction; a state has twice as many."""
    num_hidden_layers: int = 1
    pooling: str = "ends"
    """One of `Pooling`; without effect where every token is labelled."""
    pairs: bool = False
    """Whether two texts are read apart, each by the same encoder, and then compared."""
    head_size: int = 200
    """Channels of the layer in front of the classifier; 0: there is none."""
    crf: bool = False
    """Whether the tags of a sentence are chosen together, by a linear-chain CRF."""
    hidden_dropout_prob: float = 0.2
    initializer_range: float = 0.1
    """Of the tables, as a standard deviation."""
    pad_token_id: int | None = 0
    tokenizer_class: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Check what the models rely on."""
        if self.pooling not in ("ends", "attention", "max"):
            raise ValueError(f"pooling is ends, attention or max, not {self.pooling!r}")
        if self.characters and self.character_kernel % 2 == 0:
            raise ValueError(f"character_kernel is odd, not {self.character_kernel}")
        super().__post_init__(**kwargs)

    @property
    def padding_id(self) -> int:
        """What fills short rows; masked, so any word will do where none is set aside for it."""
        return self.pad_token_id or 0

    @property
    def positions(self) -> int | None:
        """How many tokens it can read: any number."""
        return None

    @property
    def reads_token_types(self) -> bool:
        """Whether it tells the second text of a pair from the first."""
        return self.pairs

    @property
    def input_size(self) -> int:
        """Channels of what the first layer reads of each token."""
        return self.embedding_size + (self.character_filters if self.characters else 0)

    @property
    def state_size(self) -> int:
        """Channels of a state: both directions."""
        return 2 * self.hidden_size

    @property
    def layer_inputs(self) -> list[int]:
        """Channels of what each layer reads."""
        return [self.input_size] + [self.state_size] * (self.num_hidden_layers - 1)
