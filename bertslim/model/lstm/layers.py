"""What the recurrent models are made of: embeddings, the LSTM, pooling, and the classifier.

Like `modeling.py`, this file is copied into checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration import SlimLstmConfig

FAR_BELOW = -1e4
"""A score whose share of a softmax is 0; small enough for fp16."""


class Embeddings(nn.Module):
    """A vector for each word and, if words are spelt, the largest answers of a CNN to its letters.

    `spellings` (vocabulary, word_length) is data, not weight: the characters of each word.
    """

    spellings: Tensor

    def __init__(self, config: SlimLstmConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.embedding_size)
        nn.init.normal_(self.words.weight, std=config.initializer_range)
        self.spelt = config.characters > 0
        if self.spelt:
            kernel, filters = config.character_kernel, config.character_filters
            spellings = torch.zeros(config.vocab_size, config.word_length, dtype=torch.int16)
            self.register_buffer("spellings", spellings)
            self.characters = nn.Embedding(config.characters, config.character_size, padding_idx=0)
            self.convolution = nn.Conv1d(
                config.character_size, filters, kernel, padding=kernel // 2
            )

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return (batch, length, words + filters) of (batch, length) ids."""
        words: Tensor = self.words(input_ids)
        if not self.spelt:
            return words
        return torch.cat([words, self.letters(self.spellings[input_ids])], dim=-1)

    def letters(self, spellings: Tensor) -> Tensor:
        """Return (..., filters) of the characters of words, (..., word_length).

        A function of the word alone: once trained, it is a table like that of the words.
        """
        x = self.characters(spellings.flatten(0, -2).long())  # (words, word_length, size)
        answers: Tensor = self.convolution(x.transpose(1, 2)).amax(-1)  # (words, filters)
        return answers.reshape(*spellings.shape[:-1], -1)


class BiLstm(nn.Module):
    """An LSTM in each direction that reads padded rows as if there were no padding.

    The candidate g has no bias. So where the input is zero and the state is still zero, the state
    stays exactly zero: g = tanh(0), c = f * 0 + i * 0, h = o * tanh(0). A row whose padding is zero
    has the same states as without it in both directions, and no lengths have to be known.

    `input_weight` (2, 4 hidden, inputs) and `state_weight` (2, 4 hidden, hidden): the direction
    from the left, then from the right; gates i, f, g, o. `bias` (6 hidden): of i, f, o, first for
    the direction from the left.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.empty(2, 4 * hidden, inputs))
        self.state_weight = nn.Parameter(torch.empty(2, 4 * hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(6 * hidden))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Glorot's inputs, orthogonal states, and gates that begin by remembering: b_f = 1."""
        for direction in range(2):
            for gate in self.input_weight[direction].chunk(4):
                nn.init.xavier_uniform_(gate)
            for gate in self.state_weight[direction].chunk(4):
                nn.init.orthogonal_(gate)
        self.bias.zero_()
        self.bias.view(2, 3, -1)[:, 1] = 1.0

    def biases(self) -> Tensor:
        """Return (2, 4 hidden), of i, f, g, o."""
        i, f, o = self.bias.view(2, 3, -1).unbind(1)  # (2, hidden) each
        return torch.cat([i, f, torch.zeros_like(i), o], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, length, 2 hidden) of (batch, length, inputs); padding has to be zero."""
        biases = self.biases()
        nothing = torch.zeros_like(biases[0])
        weights = [
            weight
            for direction in range(2)
            for weight in (
                self.input_weight[direction],
                self.state_weight[direction],
                biases[direction],
                nothing,
            )
        ]
        start = x.new_zeros(2, x.shape[0], self.state_weight.shape[-1])
        # biased, 1 layer, no dropout of its own, in both directions, batch first
        states, _, _ = torch.lstm(
            x, (start, start), weights, True, 1, 0.0, self.training, True, True
        )
        return states


class Ends(nn.Module):
    """The last state of each direction: at a text's last token, and at its first."""

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return (batch, 2 hidden) of (batch, length, 2 hidden); `mask` is (batch, length)."""
        before = functional.pad(mask, (1, 0))[:, :-1]
        behind = functional.pad(mask, (0, 1))[:, 1:]
        first, last = (mask * (1 - neighbour) for neighbour in (before, behind))
        left, right = states.chunk(2, dim=-1)
        ends = [at.unsqueeze(1) @ half for at, half in ((last, left), (first, right))]
        return torch.cat(ends, dim=-1).squeeze(1)


class Attention(nn.Module):
    """A mean of the states in which each has a weight of its own (Liu et al. 2019)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return (batch, size) of (batch, length, size); `mask` is (batch, length)."""
        # a = softmax(v^T tanh(W h + b)) over the real tokens      (batch, length)
        scores = self.score(torch.tanh(self.dense(states))).squeeze(-1)
        weights = (scores * mask + FAR_BELOW * (1 - mask)).softmax(-1)
        mean: Tensor = weights.unsqueeze(1) @ states
        return mean.squeeze(1)


class Largest(nn.Module):
    """The largest value of each channel."""

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return (batch, size) of (batch, length, size); `mask` is (batch, length)."""
        # states lie between -1 and 1
        return (states - 2 * (1 - mask).unsqueeze(-1)).amax(1)


class Classifier(nn.Module):
    """Dropout and a linear layer, with a ReLU layer in front if one is wanted."""

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(inputs, hidden) if hidden else None
        self.output = nn.Linear(hidden or inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., outputs) of (..., inputs)."""
        if self.dense is not None:
            x = functional.relu(self.dense(self.dropout(x)))
        logits: Tensor = self.output(self.dropout(x))
        return logits


def pooling_of(config: SlimLstmConfig) -> nn.Module:
    """Return what sums up the states of a text."""
    if config.pooling == "attention":
        return Attention(config.state_size)
    return Ends() if config.pooling == "ends" else Largest()


def four_ways(a: Tensor, b: Tensor) -> Tensor:
    """Return how two texts compare, (batch, 4 size): [a; b; a * b; |a - b|] (Tang et al. 2019)."""
    return torch.cat([a, b, a * b, (a - b).abs()], dim=-1)
