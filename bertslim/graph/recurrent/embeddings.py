"""What an LSTM reads of each word: its vector, and what a CNN makes of its letters."""

import numpy as np
import torch
from torch import Tensor, nn

from bertslim.graph.encoder import DIALECTS
from bertslim.graph.nodes import GraphBuilder
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.lstm.layers import Embeddings

WORDS_AT_ONCE = 4096
"""Whose letters are convolved together, which takes far more memory than their answers."""


def letter_tables(model: nn.Module) -> dict[str, Tensor]:
    """Return what a model's CNN answers to every word, which no text changes, as a named weight."""
    return {
        f"{path}.letters.weight": _answers(module)
        for path, module in model.named_modules()
        if isinstance(module, Embeddings) and module.spelt
    }


def embedded(g: GraphBuilder, config: SlimLstmConfig, path: str) -> str:
    """Write the words' vectors, and the letters' beside them: (length, batch, inputs)."""
    ids = g.node("Transpose", ["input_ids"], "input_ids/columns", perm=(1, 0))
    words = DIALECTS[g.form.dialect].rows(g, f"{path}.words", ids)
    if not config.characters:
        return words
    if g.form.letters == "table":
        letters = DIALECTS[g.form.dialect].rows(g, f"{path}.letters", ids)
    else:
        letters = convolved(g, config, ids, path)
    return g.node("Concat", [words, letters], f"{path}/concat", axis=-1)


def convolved(g: GraphBuilder, config: SlimLstmConfig, ids: str, path: str) -> str:
    """Write max over places of conv(characters of each word): (length, batch, filters)."""
    spellings = g.constant(f"{path}.spellings", g.array(f"{path}.spellings"), np.int32)
    spelt = g.node("Gather", [spellings, ids], f"{path}.spellings/gather")
    rows = g.constant("spelt_rows", [-1, config.word_length])
    spelt = g.node("Reshape", [spelt, rows], f"{path}.spellings/rows")  # (words, word_length)
    table = g.weight(f"{path}.characters.weight")
    x = g.node("Gather", [table, spelt], f"{path}.characters/gather")
    x = g.node("Transpose", [x], f"{path}.characters/columns", perm=(0, 2, 1))
    weights = [g.weight(f"{path}.convolution.{part}") for part in ("weight", "bias")]
    reach = config.character_kernel // 2
    x = g.node("Conv", [x, *weights], f"{path}.convolution/conv", pads=(reach, reach))
    largest = g.node("ReduceMax", [x, g.constant("axes_2", [2])], f"{path}/largest", keepdims=0)
    words = g.node("Shape", [ids], f"{path}/words")
    width = g.constant("filters", [config.character_filters])
    shape = g.node("Concat", [words, width], f"{path}/shape", axis=0)
    return g.node("Reshape", [largest, shape], f"{path}.letters/gather")


def _answers(embeddings: Embeddings) -> Tensor:
    """(vocabulary, filters), fp32 on the CPU."""
    with torch.no_grad():
        parts = [
            embeddings.letters(some) for some in torch.split(embeddings.spellings, WORDS_AT_ONCE)
        ]
    return torch.cat(parts).to("cpu", torch.float32)
