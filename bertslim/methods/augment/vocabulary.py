"""Which entries of a tokenizer are whole words."""

from typing import Any

from tokenizers.models import WordPiece
from transformers import PreTrainedTokenizerBase

from bertslim.methods.augment.sentence import is_word

WORD_STARTS = ("Ġ", "▁")
"""How byte-level BPE (RoBERTa) and SentencePiece (XLM-R) mark the beginning of a word."""


def whole_words(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the words by their ids, ordered by id: no special tokens, no pieces, no marks."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    special = set(tokenizer.all_special_ids)
    found = {
        number: _written(token, tokenizer)
        for token, number in sorted(vocabulary.items(), key=lambda entry: entry[1])
        if number not in special and _begins_a_word(token, tokenizer)
    }
    return {number: word for number, word in found.items() if is_word(word)}


def _begins_a_word(token: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    backend: Any = tokenizer.backend_tokenizer
    if isinstance(backend.model, WordPiece):
        return not token.startswith(backend.model.continuing_subword_prefix)
    return token.startswith(WORD_STARTS)


def _written(token: str, tokenizer: PreTrainedTokenizerBase) -> str:
    text: str = tokenizer.convert_tokens_to_string([token])
    return text.strip()
