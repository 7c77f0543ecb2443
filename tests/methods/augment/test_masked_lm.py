"""TinyBERT's rule: candidates of a masked language model, and neighbours of words in pieces."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertslim.methods.augment.neighbours import by_embedding, by_vectors
from bertslim.methods.augment.rule import Source
from bertslim.methods.augment.rules import masked_lm
from bertslim.methods.augment.rules.masked_lm import MaskedLm
from bertslim.methods.augment.sentence import split
from bertslim.methods.augment.vocabulary import whole_words
from bertslim.model.loading import load_model
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.readers.vectors import Vectors
from tests.tiny import WORDS, save_tiny_bert, tiny_tokenizer

K = 4
WHOLE = [word for word in WORDS if word.isalnum()]


@pytest.fixture(scope="module")
def rule(tmp_path_factory: pytest.TempPathFactory) -> MaskedLm:
    return MaskedLm.made(source(tmp_path_factory.mktemp("mlm")))


def source(folder: Path, **more: Any) -> Source:
    model = load_model(open_checkpoint(save_tiny_bert(folder, "masked-lm")))
    given = {"model": model, "tokenizer": tiny_tokenizer(), "max_length": 32, **more}
    return Source(lambda: (), 0, "[MASK]", candidates=K, **given)


def most_probable(rule: MaskedLm, text: str, place: int) -> list[str]:
    """The K best whole words at one masked token, the plain way."""
    ids = tiny_tokenizer()(text, return_tensors="pt")["input_ids"]
    ids[0, place] = WORDS.index("[MASK]")
    with torch.no_grad():
        logits = rule.model(ids, torch.ones_like(ids)).logits[0, place]
    order = logits.argsort(descending=True).tolist()
    return [WORDS[number] for number in order if WORDS[number] in WHOLE][:K]


def test_candidates_are_what_the_model_would_write(rule: MaskedLm) -> None:
    text = "the film, was very good."
    found = rule.candidates(split(text))
    # [CLS] the film , was very good .
    places = {0: 1, 1: 2, 3: 4, 4: 5, 5: 6}
    assert {at: list(words) for at, words in found.items()} == {
        at: most_probable(rule, text, token) for at, token in places.items()
    }


def test_words_of_several_pieces_get_neighbours(rule: MaskedLm) -> None:
    sentence = split("the films were brightly done")
    found = rule.candidates(sentence)
    table = rule.model.bert.embeddings.word_embeddings.weight.detach()
    for place, pieces in ((1, ("film", "##s")), (3, ("bright", "##ly"))):
        mean = table[[WORDS.index(piece) for piece in pieces]].mean(0)
        known = table[[WORDS.index(word) for word in WHOLE]]
        cosines = torch.cosine_similarity(known, mean[None], dim=-1)
        order = cosines.argsort(descending=True).tolist()[:K]
        assert list(found[place]) == [WHOLE[number] for number in order]


def test_each_candidate_is_as_likely(rule: MaskedLm) -> None:
    sentence = split("the film was good .")
    draw, random = rule.drawer(sentence), np.random.default_rng(0)
    drawn = [draw(1, random) for _ in range(2000)]
    expected = rule.candidates(sentence)[1]
    assert len(expected) == K
    assert all(abs(drawn.count(word) - 2000 / K) < 100 for word in expected)


def test_long_texts_are_read_in_parts_and_to_the_end_that_is_read(
    rule: MaskedLm, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = split("the film was good " * 20)
    whole = rule.candidates(sentence)
    assert sorted(whole) == list(range(30))  # 32 tokens, two of them special
    monkeypatch.setattr(masked_lm, "MOST_TOKENS", 3 * 32)
    assert rule.candidates(sentence) == whole


def test_a_word_that_is_cut_in_two_has_no_candidates(tmp_path: Path) -> None:
    rule = MaskedLm.made(source(tmp_path, max_length=4))
    assert sorted(rule.candidates(split("the films end"))) == [0]  # [CLS] the film [SEP]


def test_a_word_within_a_token_has_no_candidates(rule: MaskedLm) -> None:
    """As `'s` is one token of byte-level BPE, and a mask."""
    text = "the [MASK] very good"
    assert split(text).words == (0, 2, 4, 5)
    assert sorted(rule.candidates(split(text))) == [0, 4, 5]


def test_no_words_no_candidates(rule: MaskedLm) -> None:
    assert rule.candidates(split("...")) == {}
    assert rule.candidates(split("")) == {}


def test_neighbours_from_vectors() -> None:
    matrix = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0], [1, 0]], np.float32)
    near = by_vectors(Vectors(("good", "fine", "film", "bad", "!"), matrix), 2)
    assert near("good", ()) == ("fine", "film")
    assert near("Good", ()) == ("fine", "film")
    assert near("unheard", ()) == ()
    assert by_vectors(Vectors(("good", "fine"), matrix[:2]), 5)("fine", ()) == ("good",)


def test_a_word_is_no_neighbour_of_itself() -> None:
    table = torch.eye(4)
    near = by_embedding(table, {1: "good", 2: "fine", 3: "bad"}, 2)
    assert set(near("good", (1,))) == {"fine", "bad"}


def test_vectors_take_the_place_of_the_table(tmp_path: Path) -> None:
    vectors = Vectors(("films", "plays", "acts"), np.eye(3, dtype=np.float32))
    found = MaskedLm.made(source(tmp_path, vectors=vectors)).candidates(split("films end ends"))
    assert set(found[0]) == {"plays", "acts"}
    assert len(found[1]) == K
    assert found[2] == ()


def byte_level() -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    vocabulary: Sequence[str] = ["<mask>", "Ġ", "f", "i", "Ġf", "Ġfi", "!", "Ġ!", "Ã", "©", "ĠÃ©"]
    merges = [("Ġ", "f"), ("Ġf", "i")]
    tokenizer = Tokenizer(BPE({token: n for n, token in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="<mask>")


def test_whole_words_of_other_tokenizers() -> None:
    assert list(whole_words(tiny_tokenizer()).values()) == WHOLE
    assert whole_words(byte_level()) == {4: "f", 5: "fi", 10: "é"}
