"""Encoding: token ids of each kind, checked word by word on a tiny vocabulary."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from bertslim.errors import CheckpointError, DataError, SettingsError
from bertslim.train.batching import collate
from bertslim.train.encoding import encode, mask_tokens, masking_of
from bertslim.train.encoding.masking import Masking
from bertslim.train.readers import label_names, read_split, read_unlabelled
from tests.tiny import SPECIAL, WORDS, tiny_tokenizer
from tests.train.tasks import (
    CONTEXT,
    conll_task,
    lines_task,
    small_task,
    squad_task,
    tsv_task,
)

TOKENIZER = tiny_tokenizer()


def words(ids: list[int]) -> str:
    return " ".join(WORDS[number] for number in ids)


def test_a_text_and_its_class(tmp_path: Path) -> None:
    task = tsv_task(tmp_path, "sentence\tlabel\ngood films\tyes\nbad\tno\n" + "very\tno\n" * 2000)
    data = read_split(task, "train")
    encoded = encode(data, task, TOKENIZER, ("no", "yes"), token_types=True)
    assert encoded.column_names == ["example", "input_ids", "token_type_ids", "labels"]
    assert words(encoded[0]["input_ids"]) == "[CLS] good film ##s [SEP]"
    assert encoded[0]["token_type_ids"] == [0] * 5
    assert encoded["labels"][:2] == [1, 0]
    assert encoded["example"][:] == list(range(2002))


def test_a_pair_and_its_score_cut_to_length(tmp_path: Path) -> None:
    document = (
        'kind = "text-regression"\nmax_length = 8\n[data]\ntrain = "a.jsonl"\n'
        '[columns]\ntext = ["x", "y"]\n'
    )
    row = '{"x": "a the it was is very", "y": "good", "label": 2.5}\n'
    task = small_task(tmp_path, document, {"a.jsonl": row})
    encoded = encode(read_split(task, "train"), task, TOKENIZER, (), token_types=True)
    assert words(encoded[0]["input_ids"]) == "[CLS] a the it was [SEP] good [SEP]"
    assert encoded[0]["token_type_ids"] == [0] * 6 + [1] * 2
    assert encoded[0]["labels"] == 2.5
    assert collate([encoded[0]], 0)["labels"].dtype == np.float32


def test_data_without_labels_tells_where_words_begin_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "pool.txt").write_text("good film\n")
    row = {"example": 0, "input_ids": [2, 5, 15, 3], "token_type_ids": [0] * 4}
    begins = {"labels": [-100, 0, 0, -100], "words": [0, 1]}
    texts = tsv_task(tmp_path, "sentence\tlabel\nx\tno\n")
    for task, more in ((texts, {}), (conll_task(tmp_path), begins)):
        pool = read_unlabelled(task, [tmp_path / "pool.txt"])
        encoded = encode(pool, task, TOKENIZER, ("no", "yes"), token_types=True)
        assert encoded.to_list() == [{**row, **more}]


def test_labels_that_the_model_lacks(tmp_path: Path) -> None:
    task = tsv_task(tmp_path, "sentence\tlabel\na\tyes\nb\tno\nc\tmaybe\n")
    with pytest.raises(DataError) as caught:
        encode(read_split(task, "train"), task, TOKENIZER, ("yes", "si"))
    assert str(caught.value) == (
        "labels other than yes, si:\n  - example 1 is 'no'\n  - example 2 is 'maybe'"
    )
    tags = conll_task(tmp_path)
    with pytest.raises(DataError, match="tags other than O, B-PER: B-LOC, I-PER"):
        encode(read_split(tags, "train"), tags, TOKENIZER, ("O", "B-PER"))


def test_the_first_piece_of_a_word_carries_its_tag(tmp_path: Path) -> None:
    task = conll_task(tmp_path, "bob\tB-PER\nfilms\tI-PER\n\u200b\tO\nend\tO\n")
    data = read_split(task, "train")
    encoded = encode(data, task, TOKENIZER, ("B-PER", "I-PER", "O"))
    assert words(encoded[0]["input_ids"]) == "[CLS] bob film ##s end [SEP]"
    assert encoded[0]["labels"] == [-100, 0, 1, -100, 2, -100]
    assert encoded[0]["words"] == [0, 1, 3]  # the third word has no piece at all


def test_words_beyond_the_length_are_cut_off(tmp_path: Path) -> None:
    task = replace(conll_task(tmp_path, "end\tO\n" * 20), max_length=8)
    encoded = encode(read_split(task, "train"), task, TOKENIZER, ("O",))
    assert len(encoded[0]["input_ids"]) == 8
    assert encoded[0]["words"] == [0, 1, 2, 3, 4, 5]


def test_byte_level_bpe_takes_split_words_as_words_of_a_sentence(tmp_path: Path) -> None:
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(["anna was the end"] * 9, vocab_size=300, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, model_input_names=["input_ids", "token_type_ids"]
    )
    task = conll_task(tmp_path, "was\tO\nthe\tO\n")
    encoded = encode(read_split(task, "train"), task, tokenizer, ("O",))
    assert encoded.column_names == ["example", "input_ids", "labels", "words"]
    assert encoded[0]["input_ids"] == tokenizer(" was the")["input_ids"]
    assert tokenizer.decode(tokenizer("was")["input_ids"]) == "was"  # itself left as it was


def test_answers_become_tokens_and_no_answer_the_first_one(tmp_path: Path) -> None:
    task = squad_task(tmp_path)
    encoded = encode(read_split(task, "train"), task, TOKENIZER, (), token_types=True)
    assert encoded["example"][:] == [0, 1, 2]
    row = encoded[0]
    first, last = row["start_positions"], row["end_positions"]
    assert words(row["input_ids"][first : last + 1]) == "bob"
    assert (encoded[1]["start_positions"], encoded[1]["end_positions"]) == (0, 0)
    begin, end = row["offsets"][first]
    assert CONTEXT[begin:end] == "bob"
    question = words(row["input_ids"]).split().index("[SEP]")
    assert row["offsets"][: question + 1] == [[-1, -1]] * (question + 1)
    assert row["offsets"][-1] == [-1, -1]
    assert row["token_type_ids"][question : question + 2] == [0, 1]


def test_long_contexts_are_strided(tmp_path: Path) -> None:
    task = replace(squad_task(tmp_path), max_length=16)
    encoded = encode(read_split(task, "train"), task, TOKENIZER, ())
    rows = [row for row in encoded if row["example"] == 0]
    answers = [
        words(row["input_ids"][row["start_positions"] : row["end_positions"] + 1]) for row in rows
    ]
    assert answers == ["bob", "bob", "[CLS]"]
    covered = {tuple(pair) for row in rows for pair in row["offsets"]} - {(-1, -1)}
    assert len(covered) == len(TOKENIZER(CONTEXT, add_special_tokens=False)["input_ids"])
    shared = set(map(tuple, rows[0]["offsets"])) & set(map(tuple, rows[1]["offsets"]))
    assert len(shared - {(-1, -1)}) == task.stride


def test_endless_questions_leave_room_for_context(tmp_path: Path) -> None:
    task = squad_task(tmp_path)
    data = read_split(task, "train")
    data = data.map(lambda row: {"question": "who is " * 100 + row["question"]})
    encoded = encode(data, task, TOKENIZER, ())
    assert max(len(ids) for ids in encoded["input_ids"]) == 32
    assert all(any(begin >= 0 for begin, _ in offsets) for offsets in encoded["offsets"])


def test_plain_text_is_run_together_and_cut(tmp_path: Path) -> None:
    task = lines_task(tmp_path, "a the it\n\n\u200b\nwas is very good film book\n")
    encoded = encode(read_split(task, "train"), task, TOKENIZER, (), token_types=True)
    assert [words(row["input_ids"]) for row in encoded] == [
        "[CLS] a the it [SEP] was is [SEP]",
        "[CLS] very good film book [SEP]",
    ]
    assert encoded["example"][:] == [0, 1]
    assert encoded.column_names == ["example", "input_ids", "token_type_ids"]


def test_chunks_cross_the_borders_of_batches(tmp_path: Path) -> None:
    task = lines_task(tmp_path, "a the\n" * 2500)
    encoded = encode(read_split(task, "train"), task, TOKENIZER, ())
    assert [len(ids) for ids in encoded["input_ids"]] == [7] * 1250
    assert encoded["example"][:] == list(range(1250))


def test_lengths_beyond_the_positions_are_refused(tmp_path: Path) -> None:
    task = replace(tsv_task(tmp_path, "sentence\tlabel\nx\tno\n"), max_length=128)
    data = read_split(task, "train")
    with pytest.raises(SettingsError) as caught:
        encode(data, task, TOKENIZER, ("no", "yes"))
    assert str(caught.value) == (
        "max_length = 128 of task small exceeds the 64 positions of the model"
    )
    assert caught.value.hint == "set max_length = 64 or less in the task file"
    with pytest.raises(SettingsError, match="exceeds the 100 positions"):
        encode(data, task, TOKENIZER, ("no", "yes"), positions=100)
    assert len(encode(data, task, TOKENIZER, ("no", "yes"), positions=128)) == 1


def masking(tmp_path: Path) -> Masking:
    found = masking_of(lines_task(tmp_path, "a\n"), TOKENIZER)
    assert found is not None
    return found


def test_masks_follow_devlin_et_al(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(len(SPECIAL), len(WORDS), size=(40, 102))
    ids[:, 0], ids[:, 101], ids[0, 50:] = 2, 3, 0
    mask = np.ones_like(ids)
    mask[0, 50:] = 0
    batch = {"input_ids": ids, "attention_mask": mask}
    masked = mask_tokens(batch, np.random.default_rng(1), masking(tmp_path))
    guessed = masked["labels"] != -100
    assert guessed.sum(axis=1).tolist() == [7, *[15] * 39]  # 15 % of 49 and of 100 words
    assert (masked["labels"][guessed] == ids[guessed]).all()
    assert (masked["input_ids"][~guessed] == ids[~guessed]).all()
    assert not guessed[:, 0].any()
    assert not guessed[:, 101].any()
    assert not guessed[0, 50:].any()
    changed = masked["input_ids"][guessed]
    assert np.mean(changed == WORDS.index("[MASK]")) == pytest.approx(0.8, abs=0.05)
    assert np.mean(changed == ids[guessed]) == pytest.approx(0.1, abs=0.05)
    assert set(np.unique(changed)) & set(range(len(SPECIAL))) == {WORDS.index("[MASK]")}


def test_equal_generators_give_equal_masks(tmp_path: Path) -> None:
    batch = collate([{"input_ids": [2, *range(5, 25), 3]}], 0)
    first, again, other = (
        mask_tokens(batch, np.random.default_rng(seed), masking(tmp_path)) for seed in (1, 1, 2)
    )
    assert (first["input_ids"] == again["input_ids"]).all()
    assert (first["labels"] != other["labels"]).any()
    assert "labels" not in batch


def test_short_rows_have_one_mask_and_rows_without_words_none(tmp_path: Path) -> None:
    batch = collate([{"input_ids": [2, 7, 3]}, {"input_ids": [2, 1, 3]}], 0)
    masked = mask_tokens(batch, np.random.default_rng(0), masking(tmp_path))
    assert masked["labels"].tolist() == [[-100, 7, -100], [-100, -100, -100]]


def test_masking_needs_a_mask_token(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(CheckpointError, match="has no mask token"):
        masking_of(lines_task(tmp_path, "a\n"), tokenizer)
    assert masking_of(conll_task(tmp_path), tokenizer) is None


def test_words_are_those_that_the_tokenizer_has(tmp_path: Path) -> None:
    """Numbers may be left out, so that the highest is beyond the number of words."""
    ids = {word: number + 10 * (number > 8) for number, word in enumerate(WORDS)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(ids, unk_token="[UNK]")), mask_token="[MASK]"
    )
    found = masking_of(lines_task(tmp_path, "a\n"), tokenizer)
    assert found is not None
    assert found.words.tolist() == sorted(set(ids.values()) - {WORDS.index("[MASK]")})


def test_encoding_is_repeatable(tmp_path: Path) -> None:
    task = conll_task(tmp_path)
    data = read_split(task, "train")
    labels = label_names(task, data)
    first, again = (encode(data, task, TOKENIZER, labels) for _ in range(2))
    assert first._fingerprint == again._fingerprint
