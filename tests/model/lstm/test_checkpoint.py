"""`slim_lstm` checkpoints: written, read, opened by transformers, and measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification
from transformers import AutoModelForTokenClassification as AutoTagger

from bertslim.errors import CheckpointError
from bertslim.model.kinds import head_kind
from bertslim.model.loading import load_model
from bertslim.model.lstm.configuration import SlimLstmConfig
from bertslim.model.opening import open_for_task, open_model
from bertslim.model.saving import LSTM_FILES, save_model
from bertslim.model.shapes import flops, parameter_counts
from bertslim.store.checkpoint import RECURRENT, open_checkpoint
from tests.model.lstm.models import CLASSES, LETTERS, save_tiny_lstm, tiny_lstm
from tests.model.test_saving import STRANGER
from tests.tiny import WORDS

FILES = {"config.json", "model.safetensors", *(file.name for file in LSTM_FILES)}
IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}
SHAPES = [
    {},
    {"characters": LETTERS, "head_size": 0},
    {"pairs": True, "pooling": "attention", "num_hidden_layers": 1},
    {"crf": True, "num_labels": 3},
]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_there_and_back(kind: str | None, shape: dict[str, object], tmp_path: Path) -> None:
    directory = save_tiny_lstm(tmp_path / "lstm", kind, **shape)
    assert {p.name for p in directory.iterdir()} >= FILES
    model, again = tiny_lstm(kind, **shape), open_model(open_checkpoint(directory))
    assert type(again) is type(model)
    assert head_kind(again) == kind
    assert not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_parameters_are_counted(kind: str | None, shape: dict[str, object]) -> None:
    model = tiny_lstm(kind, **shape)
    assert parameter_counts(model).total == sum(p.numel() for p in model.parameters())


def test_operations_are_counted() -> None:
    model = tiny_lstm(num_labels=3)
    model.config.architectures = [type(model).__name__]
    # of each token 2 layers, in both directions 4 gates; of the text 10 -> 6 -> 3
    layers = 2 * 4 * 5 * (7 + 5) + 2 * 4 * 5 * (10 + 5)
    assert flops(model.config, 9) == 2 * (9 * layers + 10 * 6 + 6 * 3)


def test_transformers_opens_it_once_bertslim_is_imported(tmp_path: Path) -> None:
    for auto, kind in (
        (AutoModel, None),
        (AutoModelForSequenceClassification, "text-classification"),
        (AutoTagger, "token-classification"),
    ):
        directory = save_tiny_lstm(tmp_path / str(kind), kind)
        model = auto.from_pretrained(directory)
        with torch.no_grad():
            found, wanted = model.eval()(**INPUTS), tiny_lstm(kind)(**INPUTS)
        assert torch.equal(found[0], wanted[0])


def stranger(script: str, place: Path, *words: object) -> str:
    """Run a script where bertslim is not installed; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        cwd=place,
        capture_output=True,
        text=True,
        env={"HF_HOME": str(place / "home"), "HF_HUB_OFFLINE": "1", "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_opens_where_bertslim_is_not_installed(tmp_path: Path) -> None:
    directory = save_tiny_lstm(tmp_path / "stranger", "text-classification", characters=LETTERS)
    torch.save(INPUTS, tmp_path / "inputs.pt")
    files = (tmp_path / "inputs.pt", tmp_path / "outputs.pt")
    auto = "AutoModelForSequenceClassification"
    assert stranger(STRANGER, tmp_path, *files, auto, directory) in ("LABEL_0", "LABEL_1")
    outputs = torch.load(tmp_path / "outputs.pt", weights_only=True)[str(directory)]
    wanted = tiny_lstm(characters=LETTERS)(**INPUTS)
    torch.testing.assert_close(outputs["logits"], wanted.logits, rtol=0, atol=1e-6)


def test_a_stranger_decodes_too(tmp_path: Path) -> None:
    model = tiny_lstm("token-classification", crf=True, num_labels=3)
    torch.nn.init.normal_(model.crf.transitions, std=9)
    save_model(model, tmp_path / "tagger", tokenizer_from=None)
    script = (
        "import sys; sys.path[:] = [entry for entry in sys.path if entry]\n"
        "import torch; from transformers import AutoModelForTokenClassification as Auto\n"
        "model = Auto.from_pretrained('tagger', trust_remote_code=True).eval()\n"
        f"ids = torch.tensor({IDS.tolist()})\n"
        "assert 'bertslim' not in sys.modules\n"
        "print(model.decode(model(ids, ids > 0).logits, ids > 4).tolist())"
    )
    found = model.decode(model(IDS, IDS > 0).logits, IDS > 4)
    assert stranger(script, tmp_path) == str(found.tolist())


def test_a_pair_is_not_read_as_one_text() -> None:
    with pytest.raises(ValueError, match="token_type_ids"):
        tiny_lstm(pairs=True)(**INPUTS)


def test_the_disk_knows_it_by_its_type(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_tiny_lstm(tmp_path / "lstm", None))
    assert checkpoint.is_recurrent
    assert SlimLstmConfig.model_type == RECURRENT


def test_what_is_done_to_transformers_is_refused(tmp_path: Path) -> None:
    directory = save_tiny_lstm(tmp_path / "lstm", None)
    with pytest.raises(CheckpointError, match="recurrent model"):
        load_model(open_checkpoint(directory))


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    directory = save_tiny_lstm(tmp_path / "lstm", "text-classification")
    config = json.loads((directory / "config.json").read_text())
    wider = {**config, "vocab_size": len(WORDS) + 1, "num_hidden_layers": 1}
    (directory / "config.json").write_text(json.dumps(wider))
    with pytest.raises(CheckpointError) as caught:
        open_model(open_checkpoint(directory))
    assert "lstm.embeddings.words.weight is (33, 7), config.json says (34, 7)" in str(caught.value)
    assert "unexpected tensor lstm.layers.1.bias" in str(caught.value)
    (directory / "config.json").write_text(json.dumps({**config, "pooling": "mean"}))
    with pytest.raises(CheckpointError, match="pooling is ends, attention or max, not 'mean'"):
        open_model(open_checkpoint(directory))


def test_a_new_head_needs_a_whole_encoder(tmp_path: Path) -> None:
    directory = save_tiny_lstm(tmp_path / "lstm", "text-classification")
    file = directory / "model.safetensors"
    tensors = load_file(file)
    lost = next(name for name in tensors if name.startswith("lstm."))
    tensors["lstm.more"] = tensors.pop(lost)
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        open_for_task(open_checkpoint(directory), "text-classification", ("a", "b", "c"))
    assert f"missing tensor {lost}" in str(caught.value)
    assert "unexpected tensor lstm.more" in str(caught.value)


def test_a_head_that_is_replaced_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = save_tiny_lstm(tmp_path / "lstm", "text-classification")
    open_for_task(open_checkpoint(directory), "text-classification", ("a", "b", "c"))
    assert "lstm: its head knows other labels" in capsys.readouterr().err
