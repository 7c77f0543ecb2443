"""`quantize --qat`: a copy of the model learns with the rounding in place."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.quantize.job import Job, Material, method_settings
from bertslim.commands.training import SECONDS_BETWEEN_SAVES

if TYPE_CHECKING:
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.settings import TrainSettings


def trained_in_int8(
    job: Job, material: Material, resume: Path
) -> tuple["SlimBertPreTrainedModel", dict[str, Any]]:
    """Train with the rounding in place, the float model teaching, for --qat epochs."""
    from bertslim.methods.quantize.calibrate import quantize
    from bertslim.methods.quantize.qat import finetune_quantized
    from bertslim.train.examples import Sample, load_tokenizer, read_tuning
    from bertslim.train.resume import ResumeFolder

    model = material.model
    if not job.int8.qat or job.task is None or material.rows is None:
        return model, {}
    settings = method_settings(job)
    everything = Sample(sys.maxsize, job.seed)
    tokenizer = load_tokenizer(job.checkpoint.path)
    learnt, held_out = read_tuning(job.task, model, tokenizer, everything)
    quantization, _ = quantize(model, settings, material.rows)
    trained, report = finetune_quantized(
        model,
        quantization,
        settings.scheme,
        learnt,
        held_out,
        _train_settings(job),
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    return trained, {"training": asdict(report)}


def _train_settings(job: Job) -> "TrainSettings":
    """fp32: bf16 would blur the grid that is being learnt."""
    from bertslim.train.settings import TrainSettings

    return TrainSettings(
        epochs=job.int8.qat,
        batch_size=32,
        accumulation=1,
        learning_rate=job.int8.learning_rate,
        weight_decay=0.01,
        warmup=0.1,
        clip=1.0,
        dropout=0.0,
        freeze_embeddings=False,
        precision="fp32",
        seed=job.seed,
        device=job.device,
    )
