"""`bertslim fuse` and `bertslim quantize`: from a checkpoint to a graph that its runtime likes."""

import json
import sys
from pathlib import Path

import onnx
import pytest
from transformers import BertForSequenceClassification

from bertslim.cli import main
from bertslim.runtime.tensorrt.flavours import load_flavour
from tests.commands.deployments import FILES, counts, deployed
from tests.commands.shell import bash
from tests.runtime.tensorrt.worlds import builds
from tests.tiny import record_of, save_tiny_bert, tiny_tokenizer


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose labels are those of the sentence task."""
    labels = {0: "0", 1: "1"}
    return save_tiny_bert(tmp_path_factory.mktemp("named") / "model", id2label=labels)


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_fuse_writes_a_graph_and_says_what_became_of_it(
    named: Path, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / target
    assert main(["fuse", str(named), "--target", target, "-o", str(output)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{output}\n"
    assert {file.name for file in output.iterdir()} <= FILES
    assert counts(output)["attention"] == (2, 2)
    assert "residual + LayerNorm" in said.err
    description = deployed(output)
    assert (description["target"], description["precision"]) == (target, "fp32")
    assert description["difference"] < 1e-4
    furthest = f"{description['difference']:.1e}, on {target}"
    assert said.err.endswith(f"\nlargest difference from PyTorch: {furthest}\n")
    report = record_of(output)["report"]
    assert report["fusions"]["attention"] == {"happened": 2, "expected": 2}


def test_every_fusion_that_did_not_happen_has_a_reason(named: Path, tmp_path: Path) -> None:
    output = tmp_path / "fused"
    main(["fuse", str(named), "--target", "onnxruntime", "-o", str(output), "-q"])
    for count in deployed(output)["fusions"]:
        assert len(count["refused"]) == count["expected"] - count["happened"]
        assert all(count["refused"].values())


def test_what_a_graph_is_for_has_to_be_known(
    named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "fused"
    main(["fuse", str(named), "--target", "onnxruntime", "-o", str(output), "-q"])
    description = deployed(output)
    for changes, said in (
        ({"format": 2, "engine": "new"}, "update bertslim"),
        ({"target": "abacus"}, "for abacus in fp32, which bertslim does not know"),
    ):
        (output / "deploy.json").write_text(json.dumps(description | changes))
        assert main(["inspect", str(output)]) == 1
        assert said in capsys.readouterr().err


def test_a_graph_that_is_left_behind_is_named(
    named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fused = tmp_path / "fused"
    main(["fuse", str(named), "--target", "onnxruntime", "-o", str(fused), "-q"])
    assert main(["export", str(fused), "--format", "onnx", "-o", str(tmp_path / "out")]) == 0
    said = f"export works on the float weights of {fused}, not on its model.onnx"
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_gpu_is_not_named_for_a_cpu(
    named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fuse", str(named), "--target", "openvino", "--sm", "75", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert "--sm 75 names a GPU" in capsys.readouterr().err


@builds
def test_fuse_builds_for_a_gpu_that_is_not_here(
    named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "rtx"
    assert main(["fuse", str(named), "--target", "tensorrt-rtx", "-o", str(output)]) == 0
    assert deployed(output)["details"]["sm"] == "80"
    assert (output / "layers.txt").read_text().startswith("Layers:")
    capsys.readouterr()
    old = tmp_path / "turing"
    arguments = ["fuse", str(named), "--target", "tensorrt-rtx", "--sm", "75", "-o", str(old)]
    assert main(arguments) == 6
    assert "SM75" in capsys.readouterr().err
    assert not old.exists()


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_int8_is_calibrated_deployed_scored_and_shown(
    named: Path,
    sentence_task: Path,
    target: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, task = tmp_path / "int8", ["--task", str(sentence_task)]
    arguments = ["--precision", "int8", "--target", target, "--examples", "16", "-o", str(output)]
    assert main(["quantize", str(named), *arguments, *task]) == 0
    assert counts(output)["int8 GEMM"] == (12, 12)
    report = record_of(output)["report"]
    assert report["after"]["examples"] == report["before"]["examples"] == 48
    assert report["after"]["value"] == pytest.approx(report["before"]["value"], abs=0.1)
    assert (output / "model.onnx").stat().st_size == report["bytes"]
    capsys.readouterr()
    assert main(["evaluate", str(output), *task, "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert (score["runtime"], score["precision"]) == (target, "int8")
    assert score["value"] == report["after"]["value"]
    assert main(["inspect", str(output)]) == 0
    assert f"int8 for {target}" in capsys.readouterr().out


@builds
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_tensorrt_has_half_precision_around_its_int8(
    named: Path, sentence_task: Path, precision: str, tmp_path: Path
) -> None:
    output = tmp_path / precision
    arguments = ["--precision", precision, "--target", "tensorrt-rtx", "-o", str(output), "-q"]
    assert main(["quantize", str(named), *arguments, "--task", str(sentence_task)]) == 0
    description = deployed(output)
    assert description["details"]["sm"] == "75"
    assert description["details"]["compared on"] == "onnxruntime"
    assert counts(output)["QKV"] == (1, 1)  # the last layer's query is that of one token
    kinds = {t.data_type for t in onnx.load(output / "model.onnx").graph.initializer}
    assert (onnx.TensorProto.INT8 in kinds) == (precision == "int8")
    assert onnx.TensorProto.FLOAT16 in kinds


def test_a_bound_is_held_with_the_fewest_exceptions(
    named: Path, sentence_task: Path, tmp_path: Path
) -> None:
    output = tmp_path / "held"
    bound = ["--precision", "int8", "--target", "openvino", "--max-drop", "0", "-o", str(output)]
    assert main(["quantize", str(named), *bound, "--task", str(sentence_task), "-q"]) == 0
    details = deployed(output)["details"]
    found = details["tuning slice"]
    assert found["int8"] >= found["float"]
    assert set(details["sensitivity"]) >= set(details["exceptions"])
    assert len(details["inputs"]) + len(details["exceptions"]) >= 12


def test_training_with_the_rounding_in_place_is_done_on_request(
    named: Path, sentence_task: Path, tmp_path: Path
) -> None:
    output = tmp_path / "trained"
    trained = ["--precision", "int8", "--target", "openvino", "--qat", "1", "-o", str(output)]
    assert main(["quantize", str(named), *trained, "--task", str(sentence_task), "-q"]) == 0
    assert deployed(output)["details"]["training"]["best_epoch"] == 1
    weights = (output / "model.safetensors").read_bytes()
    assert weights != (named / "model.safetensors").read_bytes()


@pytest.mark.parametrize("form", ["static", "dynamic"])
def test_onnxruntime_has_two_kinds_of_ranges(named: Path, form: str, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a very good film .\n" + "the plot was dull and poor " * 40 + "\n")
    output = tmp_path / form
    arguments = ["--precision", "int8", "--target", "onnxruntime", "--ranges", form]
    calibrated = ["--text", str(texts)] if form == "static" else []
    assert main(["quantize", str(named), *arguments, *calibrated, "-o", str(output), "-q"]) == 0
    kinds = {node.op_type for node in onnx.load(output / "model.onnx").graph.node}
    assert ("DynamicQuantizeLinear" in kinds) == (form == "dynamic")
    assert deployed(output)["details"]["ranges"] == form


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--precision", "int8"], 2, "give --task or --text"),
        (["--precision", "fp16"], 2, "--target openvino has no fp16; it has bf16, int8"),
        (["--precision", "int8", "--text", "EMPTY"], 1, "holds no rows"),
        (["--precision", "int8", "--text", "ONE", "--max-drop", "0.1"], 2, "give --task"),
        (["--precision", "int8", "--text", "ONE", "--qat", "1"], 2, "give --task"),
        (["--precision", "int8", "--text", "ONE", "--ranges", "dynamic"], 2, "is for onnxruntime"),
        (["--precision", "int8", "--text", "ONE", "--scales", "fp32"], 2, "is for tensorrt"),
        (
            ["--precision", "int8", "--text", "ONE", "--learning-rate", "3e-5"],
            2,
            "--learning-rate is of --qat; leave it out",
        ),
        (
            ["--precision", "int8", "--text", "ONE", "--percentile", "99"],
            2,
            "--percentile is for --calibration percentile",
        ),
        (["--precision", "bf16", "--no-smooth"], 2, "--no-smooth is about int8"),
        (["--precision", "bf16", "--text", "ONE"], 2, "bf16 needs none"),
    ],
)
def test_what_cannot_be_is_one_line(
    named: Path,
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.txt").write_text("\n  \n")
    (tmp_path / "one.txt").write_text("a good film .\n")
    files = {"EMPTY": str(tmp_path / "empty.txt"), "ONE": str(tmp_path / "one.txt")}
    given = [files.get(word, word) for word in arguments]
    output = ["-o", str(tmp_path / "out")]
    assert main(["quantize", str(named), "--target", "openvino", *given, *output]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@builds
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["tensorrt-rtx", "--sm", "70"], "starts at SM75"),
        (["tensorrt-rtx", "--sm", "77"], "does not build for SM77"),
        (["tensorrt"], "tensorrt is not installed"),
    ],
)
def test_a_target_that_the_machine_lacks_is_refused_before_the_work(
    named: Path,
    target: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bertslim.model.loading.load_model", lambda _: pytest.fail("was loaded"))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    load_flavour.cache_clear()
    text = tmp_path / "one.txt"
    text.write_text("good\n")
    words = ["--precision", "int8", "--target", *target, "--text", str(text)]
    assert main(["quantize", str(named), *words, "-o", str(tmp_path / "out")]) in (2, 6)
    assert message in capsys.readouterr().err
    assert main(["fuse", str(named), "--target", *target, "-o", str(tmp_path / "out")]) in (2, 6)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["fuse"], ["quantize", "--precision", "int8", "--text", "ONE"]]
)
def test_a_model_that_breaks_down_is_told_from_a_graph_that_does(
    named: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = BertForSequenceClassification.from_pretrained(named)
    damaged.bert.encoder.layer[1].output.LayerNorm.weight.data.fill_(3e38)
    damaged.save_pretrained(tmp_path / "damaged")
    tiny_tokenizer().save_pretrained(tmp_path / "damaged")
    text = tmp_path / "one.txt"
    text.write_text("good\n")
    words = [str(text) if word == "ONE" else word for word in command]
    output = ["--target", "openvino", "-o", str(tmp_path / "out")]
    assert main([words[0], str(tmp_path / "damaged"), *words[1:], *output]) == 1
    assert "the model's own outputs are not finite numbers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "warned"), [(1, "ranges of one row may"), (15, "ranges of 15 rows may"), (16, "")]
)
def test_one_short_text_is_enough_but_few_are_warned_of(
    named: Path, rows: int, warned: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "few.txt"
    text.write_text("good\n" * rows)
    arguments = ["--precision", "int8", "--target", "openvino", "--text", str(text)]
    assert main(["quantize", str(named), *arguments, "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert warned in said
    assert bool(warned) == ("16 rows are the least" in said)


def test_a_pipe_from_quantize_to_bench(named: Path, sentence_task: Path, tmp_path: Path) -> None:
    task = f"--task {sentence_task}"
    found = bash(
        f"bertslim quantize {named} --precision int8 --target openvino {task} -q --force"
        f" | bertslim bench {named} - {task} --max-drop 0.5 --length 16 --batch 2"
        " --runtime openvino --seconds 0 --rounds 2 --warm-up 0 --no-memory -q --json",
        tmp_path,
    )
    assert found.returncode == 0, found.stderr
    rows = json.loads(found.stdout)["rows"]
    assert [(row["runtime"], row["precision"]) for row in rows] == [
        ("openvino", "fp32"),
        ("openvino", "int8"),
    ]


def test_a_graph_is_scored_where_it_belongs(
    named: Path, sentence_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "fused"
    main(["fuse", str(named), "--target", "openvino", "-o", str(output), "-q"])
    task = ["--task", str(sentence_task)]
    capsys.readouterr()
    assert main(["evaluate", str(output), *task, "--runtime", "onnxruntime"]) == 2
    assert "made for openvino" in capsys.readouterr().err
    assert main(["evaluate", str(output), *task, "--runtime", "torch"]) == 0


@pytest.mark.parametrize(
    ("kind", "options", "products"),
    [
        ("text-classification", [], True),
        ("question-answering", [], False),
        ("question-answering", ["--attention-products"], True),
    ],
)
def test_attentions_of_questions_stay_in_float_unless_asked_for(
    kind: str, options: list[str], products: bool, tmp_path: Path
) -> None:
    model = save_tiny_bert(tmp_path / "model", kind)
    text = tmp_path / "few.txt"
    text.write_text("good\n" * 16)
    arguments = ["--precision", "int8", "--target", "openvino", "--text", str(text), *options]
    assert main(["quantize", str(model), *arguments, "-o", str(tmp_path / "out")]) == 0
    details = deployed(tmp_path / "out")["details"]
    assert bool(details["products"]) is products
