import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from bertslim.model.loading import load_model, save_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.registration import AUTO_CLASSES
from bertslim.model.surgery import remove_ffn_units, remove_heads
from bertslim.store.checkpoint import open_checkpoint
from tests.model.zoo import batch, run, same, uneven
from tests.tiny import save_tiny_bert

SLIM_FILES = {"config.json", "model.safetensors", "configuration.py", "layers.py", "modeling.py"}
TOKENIZER_FILES = {"tokenizer.json", "tokenizer_config.json"}

# in an interpreter that knows nothing of bertslim, as on a user's machine
STRANGER = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "bertslim":
            raise ImportError("bertslim is not installed here")

sys.meta_path.insert(0, Refuse())
sys.path[:] = [entry for entry in sys.path if entry]

import torch
import transformers

inputs = torch.load(sys.argv[1], weights_only=True)
outputs = {}
for auto, directory in zip(sys.argv[3::2], sys.argv[4::2]):
    model_class = getattr(transformers, auto)
    model = model_class.from_pretrained(directory, trust_remote_code=True).eval()
    with torch.no_grad():
        outputs[directory] = dict(model(**inputs))
task, directory = "text-classification", sys.argv[4]
print(transformers.pipeline(task, directory, trust_remote_code=True)("a fine film")[0]["label"])
torch.save(outputs, sys.argv[2])
"""

KINDS = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModel": None,
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForMaskedLM": "masked-lm",
}


def slim(directory: Path, kind: str | None) -> SlimBertPreTrainedModel:
    """Write an uneven model with a tokenizer to `directory`."""
    source = save_tiny_bert(directory.with_name(f"{directory.name}-stock"), kind)
    model = remove_heads(load_model(open_checkpoint(source)), {0: (1,), 1: range(4)})
    model = remove_ffn_units(model, {1: range(7)})
    save_model(model, directory, tokenizer_from=source)
    return model


@pytest.fixture(scope="module")
def slims(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An uneven checkpoint for every Auto class."""
    root = tmp_path_factory.mktemp("slim")
    for auto, kind in KINDS.items():
        slim(root / auto, kind)
    return {auto: root / auto for auto in KINDS}


def ids() -> dict[str, torch.Tensor]:
    return {name: tensor.clamp(max=20) for name, tensor in batch().items()}


def test_an_uneven_checkpoint_holds_its_own_code(slims: dict[str, Path]) -> None:
    for directory in slims.values():
        assert {path.name for path in directory.iterdir()} == SLIM_FILES | TOKENIZER_FILES
        config = json.loads((directory / "config.json").read_text())
        assert config["model_type"] == "slim_bert"
        assert config["auto_map"] == {
            "AutoConfig": "configuration.SlimBertConfig",
            **{auto: f"modeling.{name}" for auto, name in AUTO_CLASSES.items()},
        }
        assert config["num_attention_heads"] == 3
        assert config["per_layer_config"] == {
            "1": {"num_attention_heads": 0, "num_key_value_heads": 0, "intermediate_size": 57}
        }


def test_checkpoints_open_where_bertslim_is_not_installed(
    slims: dict[str, Path], tmp_path: Path
) -> None:
    torch.save(ids(), tmp_path / "inputs.pt")
    script = tmp_path / "stranger.py"
    script.write_text(STRANGER)
    arguments = [part for auto, path in slims.items() for part in (auto, str(path))]
    files = (str(tmp_path / name) for name in ("inputs.pt", "out.pt"))
    done = subprocess.run(
        [sys.executable, "-I", str(script), *files, *arguments],
        cwd=tmp_path,
        env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] in ("LABEL_0", "LABEL_1")
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    for directory in slims.values():
        expected = run(load_model(open_checkpoint(directory)), **ids())
        assert set(found[str(directory)]) == set(expected)
        assert all(same(found[str(directory)][name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "auto",
    [
        AutoModel,
        AutoModelForMaskedLM,
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    ],
)
def test_auto_classes_need_no_flag_beside_bertslim(auto: type, slims: dict[str, Path]) -> None:
    directory = slims[auto.__name__]
    model = auto.from_pretrained(directory)
    assert type(model).__module__ == "bertslim.model.modeling"
    expected = run(load_model(open_checkpoint(directory)), **ids())
    outputs = run(model.eval(), **ids())
    assert all(same(outputs[name], expected[name]) for name in expected)


def test_auto_model_drops_the_head(slims: dict[str, Path]) -> None:
    directory = slims["AutoModelForSequenceClassification"]
    encoder = load_model(open_checkpoint(directory)).encoder
    outputs = run(AutoModel.from_pretrained(directory).eval(), **ids())
    assert same(outputs.pooler_output, run(encoder, **ids()).pooler_output)


def test_pipelines_need_no_flag_beside_bertslim(slims: dict[str, Path]) -> None:
    classify = pipeline("text-classification", slims["AutoModelForSequenceClassification"])
    assert classify("a fine film")[0]["label"] in ("LABEL_0", "LABEL_1")
    assert len(classify(["a fine film", "it was a very dull book ."], batch_size=2)) == 2
    tag = pipeline("token-classification", slims["AutoModelForTokenClassification"])
    assert [found["word"] for found in tag("a fine film")] == ["a", "fine", "film"]
    fill = pipeline("fill-mask", slims["AutoModelForMaskedLM"])
    assert len(fill("a [MASK] film", top_k=3)) == 3
    features = pipeline("feature-extraction", slims["AutoModel"])("a fine film")
    assert torch.tensor(features).shape == (1, 5, 32)


def test_transformers_own_save_and_load_agree(tmp_path: Path) -> None:
    model = uneven(tmp_path / "in")
    model.save_pretrained(tmp_path / "out")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert same(run(again, **batch()).logits, run(model, **batch()).logits)
    assert AutoConfig.from_pretrained(tmp_path / "out").id2label == {0: "b", 1: "a", 2: "c"}


def test_the_tokenizer_needs_no_settings_of_its_own(tmp_path: Path) -> None:
    slim(tmp_path / "slim", None)
    expected = AutoTokenizer.from_pretrained(tmp_path / "slim")("a fine film")["input_ids"]
    (tmp_path / "slim" / "tokenizer_config.json").unlink()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "slim")
    assert type(tokenizer).__name__ == "BertTokenizer"
    assert tokenizer("a fine film")["input_ids"] == expected


def test_uneven_checkpoints_are_the_same_every_time(tmp_path: Path) -> None:
    model = uneven(tmp_path / "in")
    for name in ("one", "two"):
        save_model(model, tmp_path / name, tokenizer_from=None)
    assert {path.name for path in (tmp_path / "one").iterdir()} == SLIM_FILES
    for file in SLIM_FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
