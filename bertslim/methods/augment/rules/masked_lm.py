"""`masked-lm`: a word becomes what a masked language model would write (Jiao et al., section 3.2).

Candidates are drawn up once for each word, from the sentence as it was (Algorithm 1): for a word of
one piece the K most probable words where it is masked, for one of several pieces its K neighbours.
A sentence is a batch of its own. So what becomes of it depends on nothing that stands near it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bertslim.errors import CheckpointError
from bertslim.methods.augment.neighbours import Neighbours, by_embedding, by_vectors
from bertslim.methods.augment.rule import Draw, Source
from bertslim.methods.augment.sentence import Sentence
from bertslim.methods.augment.vocabulary import whole_words
from bertslim.model.modeling import SlimBertForMaskedLM, SlimBertOutput

MOST_TOKENS = 8192
"""Of one batch: the masked copies of a long sentence are read in several."""

Candidates = Mapping[int, Sequence[str]]


@dataclass(frozen=True, slots=True, eq=False)
class MaskedLm:
    """Draws one of K candidates."""

    model: SlimBertForMaskedLM
    tokenizer: PreTrainedTokenizerBase
    words: Mapping[int, str]
    """Whole words by id: pieces of words and marks are no candidates."""
    numbers: Tensor
    """The ids of these, (words,), where the model is."""
    neighbours: Neighbours
    count: int
    max_length: int

    @classmethod
    def made(cls, source: Source) -> "MaskedLm":
        """Take a masked language model.

        Raises:
            CheckpointError: If its tokenizer cannot mask, or knows no whole words.
        """
        model, tokenizer = source.model, source.tokenizer
        if not isinstance(model, SlimBertForMaskedLM) or tokenizer is None:
            raise ValueError("masked-lm is made of a model and its tokenizer")
        words = whole_words(tokenizer)
        if tokenizer.mask_token_id is None or not words:
            missing = "no mask token" if words else "no whole words"
            raise CheckpointError(f"the tokenizer of {tokenizer.name_or_path} has {missing}")
        table = model.bert.embeddings.word_embeddings.weight.detach()
        neighbours = (
            by_embedding(table, words, source.candidates)
            if source.vectors is None
            else by_vectors(source.vectors, source.candidates)
        )
        count = min(source.candidates, len(words))
        numbers = torch.tensor(list(words), device=table.device)
        return cls(model, tokenizer, words, numbers, neighbours, count, source.max_length)

    def drawer(self, sentence: Sentence) -> Draw:
        """Draw up the candidates of every word."""
        candidates = self.candidates(sentence)

        def draw(place: int, random: np.random.Generator) -> str | None:
            found = candidates.get(place, ())
            return found[int(random.integers(len(found)))] if found else None

        return draw

    def candidates(self, sentence: Sentence) -> Candidates:
        """Return the candidates by place; words beyond what the model reads have none."""
        ids, pieces = self._read(sentence)
        single = {place: at[0] for place, at in pieces.items() if len(at) == 1}
        found = dict(zip(single, self._guessed(ids, list(single.values())), strict=True))
        for place in pieces.keys() - single.keys():
            own = tuple(ids[at] for at in pieces[place])
            found[place] = self.neighbours(sentence.tokens[place], own)
        return found

    def _read(self, sentence: Sentence) -> tuple[list[int], dict[int, list[int]]]:
        """Return the ids of the sentence, and where the pieces of each word are among them."""
        encoding = self.tokenizer(
            sentence.text,
            truncation=True,
            max_length=self.max_length,
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        offsets, spans = encoding["offset_mapping"], sentence.spans
        at = {place: list(_inside(offsets, *spans[place])) for place in sentence.words}
        whole = {
            place: own
            for place, own in at.items()
            if own
            and _is_all(sentence.text, (offsets[own[0]][0], offsets[own[-1]][1]), spans[place])
        }
        return list(encoding["input_ids"]), whole

    def _guessed(self, ids: Sequence[int], places: Sequence[int]) -> Iterator[tuple[str, ...]]:
        """Yield for each masked token the K most probable words."""
        rows = max(1, MOST_TOKENS // len(ids))
        for begin in range(0, len(places), rows):
            logits = self._logits(ids, places[begin : begin + rows])  # (rows, vocabulary)
            best = logits[:, self.numbers].topk(self.count).indices
            for row in self.numbers[best].tolist():  # (rows, K)
                yield tuple(self.words[number] for number in row)

    def _logits(self, ids: Sequence[int], places: Sequence[int]) -> Tensor:
        """Score the vocabulary at each place, where alone the sentence is masked."""
        device = next(self.model.parameters()).device
        rows = torch.arange(len(places), device=device)
        columns = torch.tensor(places, device=device)
        masked = torch.tensor(ids, device=device).repeat(len(places), 1)  # (places, length)
        masked[rows, columns] = self.tokenizer.mask_token_id
        with torch.inference_mode():
            states = self.model.bert(masked, torch.ones_like(masked)).last_hidden_state
            at_masks = SlimBertOutput(last_hidden_state=states[rows, columns])  # (places, hidden)
            logits: Tensor = self.model.logits(at_masks)
        return logits


def _is_all(text: str, tokens: tuple[int, int], word: tuple[int, int]) -> bool:
    """Whether tokens are a word, its whole and nothing else but blanks in front of it.

    The length that is read may end in a word; and `'s` may be one token, of which `s` is a word.
    """
    (first, last), (begin, end) = tokens, word
    return last == end and not text[first:begin].strip()


def _inside(offsets: Sequence[tuple[int, int]], begin: int, end: int) -> Iterator[int]:
    """Yield the tokens that share characters with a word; special tokens have none."""
    for number, (first, last) in enumerate(offsets):
        if max(first, begin) < min(last, end):
            yield number
