import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bertslim.methods.quantize.calibrate import Quantize, quantize
from bertslim.methods.quantize.grid import Scheme
from bertslim.methods.quantize.observe import Rows
from bertslim.methods.quantize.qat import finetune_quantized
from bertslim.methods.quantize.simulate import simulated
from bertslim.methods.quantize.thresholds import Calibration
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.quantization import Quantization
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train import feeding
from bertslim.train.batching import Batch
from bertslim.train.examples import Examples, read_examples
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport
from bertslim.train.task import load_task
from tests.methods.quantize.models import in_int8
from tests.tiny import save_tiny_bert, tiny_tokenizer
from tests.train.tasks import lines_task
from tests.train.training import assert_equal, settings, weights

CRUDE = Calibration("percentile", 90.0)
"""Clips so much that there is something to learn."""


def calibrated(model: SlimBertPreTrainedModel, examples: Examples) -> Quantization:
    rows = Rows(examples.encoded, 16, examples.masking)
    return quantize(model, Quantize(CRUDE, False, False, "symmetric"), rows)[0]


@pytest.fixture
def classified(tiny: Path, sentence_task: Path) -> tuple[SlimBertPreTrainedModel, Examples]:
    model = load_model(open_checkpoint(tiny))
    return model, read_examples(load_task(sentence_task), "train", model, tiny_tokenizer())


def distance(
    model: SlimBertPreTrainedModel, teacher: SlimBertPreTrainedModel, ranges: Quantization
) -> float:
    """Between the logits of the one in int8 and of the other in float."""
    ids = torch.randint(5, 30, (64, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = teacher(ids).logits
        with simulated(model, ranges, "symmetric"):
            return float((model(ids).logits - expected).square().mean())


def test_training_brings_int8_nearer_to_the_float_model(
    classified: tuple[SlimBertPreTrainedModel, Examples],
) -> None:
    model, examples = classified
    before, ranges = weights(model), calibrated(*classified)
    trained, report = finetune_quantized(
        model, ranges, "symmetric", examples, examples, settings(epochs=4, learning_rate=3e-4)
    )
    assert distance(trained, model, ranges) < 0.8 * distance(model, model, ranges)
    assert report.losses[0].keys() >= {"soft", "task"}
    assert len(report.metrics) == 4
    # the float model taught, and is what it was
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(model).items())
    assert not in_int8(trained)


def test_epochs_are_compared_in_int8(
    classified: tuple[SlimBertPreTrainedModel, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bertslim.train import recovery

    seen, score = [], recovery.selection_score

    def spy(model: SlimBertPreTrainedModel, examples: Examples) -> object:
        seen.append(in_int8(model))
        return score(model, examples)

    monkeypatch.setattr(recovery, "selection_score", spy)
    model, examples = classified
    ranges = calibrated(model, examples)
    finetune_quantized(model, ranges, "symmetric", examples, examples, settings(epochs=1))
    assert len(seen) == 1
    assert set(ranges.inputs) < seen[0]


def test_masked_words_are_learnt_from_the_float_model_too(tmp_path: Path) -> None:
    task = lines_task(tmp_path, "a the film was good\nit is very bad\nthe end is near\n" * 4)
    model = load_model(open_checkpoint(save_tiny_bert(tmp_path / "m", "masked-lm")))
    examples = read_examples(task, "train", model, tiny_tokenizer())
    ranges = calibrated(model, examples)
    trained, report = finetune_quantized(
        model, ranges, "symmetric", examples, examples, settings(epochs=1)
    )
    assert report.losses[0]["soft"] > 0
    assert not torch.equal(
        trained.encoder.layers[0].ffn.output.weight, model.encoder.layers[0].ffn.output.weight
    )


@pytest.mark.parametrize("scheme", ["symmetric", "unsigned"])
def test_a_resumed_training_equals_an_uninterrupted_one(
    classified: tuple[SlimBertPreTrainedModel, Examples],
    scheme: Scheme,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all that can be rounded, smoothed inputs and the products of attentions among it."""
    model, examples = classified
    rows = Rows(examples.encoded, 16, examples.masking)
    ranges, _ = quantize(model, Quantize(CRUDE, True, True, scheme), rows)
    s = {path: tuple(1.0 + n % 2 for n in range(32)) for path in ranges.inputs if "query" in path}
    ranges = replace(ranges, smoothing=s)

    def trained(folder: Path | None) -> tuple[SlimBertPreTrainedModel, TrainReport]:
        resume = ResumeFolder(folder, 1e9) if folder else None
        training = settings(epochs=2)
        return finetune_quantized(
            model, ranges, scheme, examples, examples, training, resume=resume
        )

    whole, report = trained(None)
    with monkeypatch.context() as patched:
        interrupt_at(patched, report.steps // 2 + 1)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "state")
    resumed, resumed_report = trained(tmp_path / "state")
    assert_equal(weights(resumed), weights(whole))
    assert (resumed_report.losses, resumed_report.metrics) == (report.losses, report.metrics)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send this process a signal in the middle of a step."""
    real, steps = feeding.collate, iter(range(1, 1000))

    def collate(rows: list[dict[str, object]], padding: int) -> Batch:
        if next(steps) == step:
            signal.raise_signal(signal.SIGINT)
        return real(rows, padding)

    monkeypatch.setattr(feeding, "collate", collate)
