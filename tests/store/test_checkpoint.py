import json
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from bertslim.errors import CheckpointError
from bertslim.store.checkpoint import copy_tokenizer, open_checkpoint
from tests.tiny import save_tiny_bert


def test_the_size_is_that_of_the_weights(tiny: Path) -> None:
    checkpoint = open_checkpoint(tiny)
    assert checkpoint.size_in_bytes() == (tiny / "model.safetensors").stat().st_size


def test_sharded_weights_are_read_whole(tmp_path: Path, tiny: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(tiny).save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    whole, parts = open_checkpoint(tiny).read_tensors(), open_checkpoint(tmp_path).read_tensors()
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(parts[name], whole[f"bert.{name}"])


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(tmp_path)
    assert "config.json is missing" in str(raised.value)
    assert "model.safetensors is missing" in str(raised.value)


def test_a_cut_weights_file_is_named(tmp_path: Path) -> None:
    weights = save_tiny_bert(tmp_path / "m") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or cut short"):
        open_checkpoint(tmp_path / "m")


def test_broken_json_is_named(tmp_path: Path) -> None:
    model = save_tiny_bert(tmp_path / "m")
    (model / "config.json").write_text('{"model_type": ')
    with pytest.raises(CheckpointError, match=r"config\.json is not valid JSON"):
        open_checkpoint(model)


def test_pickles_are_refused_with_the_way_to_convert(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(CheckpointError, match="pickled") as raised:
        open_checkpoint(tmp_path)
    assert "--convert-pickle" in raised.value.hint


def test_a_wrong_path_lists_what_is_there(tiny: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist") as raised:
        open_checkpoint(str(tiny.parent / "tyni"))
    assert raised.value.hint == f"checkpoints in {tiny.parent}: tiny"


def test_a_file_is_not_a_checkpoint(tiny: Path) -> None:
    with pytest.raises(CheckpointError, match="is a file"):
        open_checkpoint(tiny / "config.json")


def test_the_tokenizer_is_copied_as_it_is(tiny: Path, tmp_path: Path) -> None:
    copy_tokenizer(tiny, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}
    assert (tmp_path / "tokenizer.json").read_bytes() == (tiny / "tokenizer.json").read_bytes()


def test_a_hub_name_is_fetched_without_pickles(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[tuple[str, list[str]]] = []

    def deliver(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(tiny)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", deliver)
    monkeypatch.chdir(tmp_path)
    checkpoint = open_checkpoint("someone/bert-tiny")
    assert (checkpoint.path, checkpoint.origin) == (tiny, "someone/bert-tiny")
    assert checkpoint.place == tmp_path / "bert-tiny"
    assert asked == [("someone/bert-tiny", ["*.json", "*.safetensors", "*.txt", "*.model"])]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError, "ConnectionError"),
        (LocalEntryNotFoundError, "it cannot be reached, or is not to be asked"),
        (RepositoryNotFoundError, "it has nothing of this name"),
        (GatedRepoError, "it wants its terms to be accepted first"),
    ],
)
def test_a_hub_that_does_not_answer_is_explained(
    error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def refuse(*_: object, **__: object) -> str:
        # without the HTTP response that some of them are made of
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(CheckpointError, match=f"and the hub did not deliver it: {said}"):
        open_checkpoint("someone/bert-tiny")


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{", "not a valid index"),
        ("{}", "not a valid index"),
        ("[]", "not a valid index"),
        ('{"weight_map": {"a": "../x.safetensors"}}', "names files elsewhere"),
    ],
)
def test_a_broken_index_is_explained(tmp_path: Path, index: str, said: str) -> None:
    model = save_tiny_bert(tmp_path / "m")
    (model / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(model)
