"""One encoder under several heads, and without any."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from bertslim.model.multitask import MultiTaskModel
from bertslim.model.opening import open_for_task, open_model
from bertslim.model.saving import save_model
from bertslim.store.checkpoint import open_checkpoint
from tests.tiny import save_tiny_bert

LABELS = {
    "text-classification": ("a", "b", "c"),
    "text-regression": (),
    "token-classification": ("O", "B-X"),
}


@pytest.fixture
def shared(tmp_path: Path) -> MultiTaskModel:
    save_tiny_bert(tmp_path / "backbone", None)
    checkpoint = open_checkpoint(tmp_path / "backbone")
    return MultiTaskModel(
        {kind: open_for_task(checkpoint, kind, labels) for kind, labels in LABELS.items()}
    )


def test_what_one_task_learns_all_know(shared: MultiTaskModel) -> None:
    first, *others = shared.tasks.values()
    with torch.no_grad():
        first.encoder.embeddings.word_embeddings.weight.add_(1.0)
    ids = torch.tensor([[2, 7, 9, 3]])
    expected = first.encoder(ids).last_hidden_state
    for other in others:
        assert torch.equal(other.encoder(ids).last_hidden_state, expected)
        assert other.encoder.layers is first.encoder.layers
    assert shared.get_input_embeddings() is first.get_input_embeddings()


def test_shared_weights_are_named_once(shared: MultiTaskModel) -> None:
    names = [name for name, _ in shared.named_parameters()]
    of_encoder = [name for name in names if ".embeddings." in name or ".layers." in name]
    assert all(name.startswith("models.0.") for name in of_encoder)
    heads = {name.split(".")[1] for name in names if "classifier" in name}
    assert heads == {"0", "1", "2"}


def test_it_is_in_the_mode_of_its_models(shared: MultiTaskModel) -> None:
    assert not shared.training


def test_a_pooler_is_part_of_a_head(shared: MultiTaskModel) -> None:
    classifier, scorer, tagger = shared.tasks.values()
    assert classifier.encoder.pooler is not scorer.encoder.pooler
    assert not hasattr(tagger.encoder, "pooler")


def test_the_encoder_alone_is_a_model(shared: MultiTaskModel, tmp_path: Path) -> None:
    save_model(shared.headless(), tmp_path / "bare", tokenizer_from=tmp_path / "backbone")
    ids = torch.tensor([[2, 7, 9, 3]])
    expected = next(iter(shared.tasks.values())).encoder(ids).last_hidden_state
    ours = open_model(open_checkpoint(tmp_path / "bare"))
    theirs = AutoModel.from_pretrained(tmp_path / "bare", add_pooling_layer=False)
    assert torch.equal(ours(ids).last_hidden_state, expected)
    assert torch.allclose(theirs(ids).last_hidden_state, expected, atol=1e-5)
