"""A vocabulary of whole words, made of the texts of a task."""

from collections.abc import Iterable

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from tokenizers.trainers import WordLevelTrainer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from bertslim.errors import DataError

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
"""[MASK] is there for texts that were augmented."""


def word_tokenizer(
    texts: Iterable[str], most: int, like: PreTrainedTokenizerBase, *, whole: bool = False
) -> PreTrainedTokenizerFast:
    """Make a tokenizer of the most frequent words of some texts; all others are one unknown word.

    Words are what stands between spaces and marks; a text ends with [SEP], also the first of a
    pair. Capitals count as `like` has them count.

    Args:
        texts: What the words are counted in.
        most: How many, [PAD] and its like not counted.
        like: Another tokenizer.
        whole: Whether a word is all that stands between spaces, its marks among it: what is tagged.

    Raises:
        DataError: If there is no word.
    """
    tokenizer = Tokenizer(WordLevel(unk_token=SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=not whole, lowercase=_lowers(like)
    )
    tokenizer.pre_tokenizer = (
        pre_tokenizers.WhitespaceSplit() if whole else pre_tokenizers.BertPreTokenizer()
    )
    special = list(SPECIAL.values())
    trainer = WordLevelTrainer(
        vocab_size=most + len(special), special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() == len(special):
        raise DataError("the training texts hold no word, so there is no vocabulary")
    end = (SPECIAL["sep_token"], tokenizer.token_to_id(SPECIAL["sep_token"]))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", pair="$A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[end]
    )
    # with token types: a pair of texts is told apart by nothing else
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names, **SPECIAL)


def words_of(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the words of a tokenizer by their numbers; "" where a number has none."""
    numbers = tokenizer.get_vocab()
    words = [""] * (max(numbers.values()) + 1)
    for word, number in numbers.items():
        words[number] = word
    return words


def _lowers(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer takes capitals for small letters."""
    ids: list[list[int]] = tokenizer(["A", "a"], add_special_tokens=False)["input_ids"]
    return ids[0] == ids[1]
