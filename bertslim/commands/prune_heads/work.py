"""What `prune-heads` does: reads the data, lets the method work, scores, draws."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.figures import figures, scored_figures
from bertslim.commands.options import Device
from bertslim.console import note
from bertslim.store.checkpoint import Checkpoint
from bertslim.store.journal import Findings, opened_journal
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.commands.prune_heads.options import Wishes
    from bertslim.methods.prune_heads.curve import Curve
    from bertslim.methods.prune_heads.evidence import Evidence
    from bertslim.methods.prune_heads.prune import HeadReport
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.examples import Examples
    from bertslim.train.prediction import Score

CURVE, CURVE_PICTURE, IMPORTANCE_PICTURE = "curve.json", "curve.svg", "importance.svg"


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    checkpoint: Checkpoint
    task: Task
    wishes: "Wishes"
    seed: int
    device: Device


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What there is to work with."""

    model: "SlimBertPreTrainedModel"
    evidence: "Evidence"
    """Training rows."""
    tuning: "Examples | None"
    """Others, to choose by."""
    reported: "Examples"
    """What is reported on, and nothing else."""


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Prune, write, score, draw; return the step's report.

    Raises:
        QualityError: If not even one head can go within --max-drop.
    """
    model = opened(job)
    _refuse_what_cannot_go(job, model)
    material = read_material(job, model, choosing=job.wishes.removal.max_drop is not None)
    with opened_journal(resume) as findings:
        return _run(job, material, directory, findings)


def opened(job: Job) -> "SlimBertPreTrainedModel":
    """Load the model to where it is worked on."""
    from bertslim.model.loading import load_model
    from bertslim.train.precision import choose_device, placed

    return placed(load_model(job.checkpoint), choose_device(job.device))


def _run(job: Job, material: Material, directory: Path, findings: Findings) -> dict[str, Any]:
    from bertslim.model.loading import save_model
    from bertslim.train.examples import score_model

    pruned, report = _pruned(job, material, findings)
    residuals = _tuned(job, material, pruned)
    whole = score_model(material.model, material.reported)
    curve = _curve(job, material, whole, findings) if job.wishes.curve else None
    save_model(pruned, directory, tokenizer_from=job.checkpoint.path)
    _draw(directory, report, curve)
    before = scored_figures(material.model, whole)
    after = figures(pruned, material.reported) if job.wishes.removes else before
    _say(report, before, after)
    return {
        "heads": asdict(report),
        "residuals": residuals,
        "before": before,
        "after": after,
        "curve": asdict(curve) if curve else None,
    }


def _refuse_what_cannot_go(job: Job, model: "SlimBertPreTrainedModel") -> None:
    """Find out whether the layers have so many heads before data is read."""
    from bertslim.methods.prune_heads.amount import heads_to_remove, most_removable

    least = job.wishes.removal.keep_at_least
    if job.wishes.removal.remove is not None:
        heads_to_remove(model.config, job.wishes.removal.remove, least)
    else:
        most_removable(model.config, least)


def read_material(job: Job, model: "SlimBertPreTrainedModel", *, choosing: bool) -> Material:
    """Read the data: training rows, what is held out of them to choose by, and the reported."""
    from bertslim.methods.prune_heads.evidence import evidence_from
    from bertslim.train.examples import Sample, load_tokenizer, read_examples, read_tuning

    tokenizer, tuning = load_tokenizer(job.checkpoint.path), None
    sample = Sample(job.wishes.scoring.examples, job.seed)
    if choosing:
        scored, tuning = read_tuning(job.task, model, tokenizer, sample)
    else:
        scored = read_examples(job.task, "train", model, tokenizer, sample)
    evidence = evidence_from(scored, job.wishes.scoring.score, job.wishes.scoring.batch_size)
    reported = read_examples(job.task, "validation", model, tokenizer)
    return Material(model, evidence, tuning, reported)


def _pruned(
    job: Job, material: Material, findings: Findings
) -> tuple["SlimBertPreTrainedModel", "HeadReport"]:
    """Remove what was asked for; the model as it is if nothing was."""
    from bertslim.methods.prune_heads.drop import Bound
    from bertslim.methods.prune_heads.prune import PruneHeads, prune_heads, scored_heads

    model, evidence, removal = material.model, material.evidence, job.wishes.removal
    if removal.remove is not None:
        settings = PruneHeads(removal.remove, removal.keep_at_least, removal.order)
    elif removal.max_drop is not None and material.tuning is not None:
        bound = Bound(removal.max_drop, material.tuning)
        settings = PruneHeads(bound, removal.keep_at_least, removal.order)
    else:
        return model, scored_heads(model, evidence, findings)
    return prune_heads(model, settings, evidence, findings)


def _tuned(job: Job, material: Material, pruned: "SlimBertPreTrainedModel") -> list[dict[str, Any]]:
    """Set anew what is left, if that was asked for; return what it made good, part by part."""
    from bertslim.methods.prune_heads.tune import tune

    form = job.wishes.budget.form
    if form == "none":
        return []
    return [asdict(part) for part in tune(pruned, material.model, material.evidence, form)]


def _curve(job: Job, material: Material, whole: "Score", findings: Findings) -> "Curve":
    from bertslim.methods.prune_heads.curve import HeadCurve, head_curve

    settings = HeadCurve(job.wishes.removal.keep_at_least, job.seed)
    model, evidence, reported = material.model, material.evidence, material.reported
    return head_curve(model, settings, evidence, reported, whole, findings)


def _draw(directory: Path, report: "HeadReport", curve: "Curve | None") -> None:
    """Write the pictures, and the numbers of the curve."""
    from bertslim.methods.prune_heads.draw_curve import curve_picture
    from bertslim.methods.prune_heads.draw_importance import importance_picture

    files = {IMPORTANCE_PICTURE: importance_picture(report.scores, report.order)}
    if curve:
        files[CURVE] = json.dumps(asdict(curve), indent=1) + "\n"
        files[CURVE_PICTURE] = curve_picture(curve, len(report.order))
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def _say(report: "HeadReport", before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    if not report.order:
        note("nothing was removed: the model is as it was")
        return
    removed, heads = len(report.order), sum(map(len, report.scores))
    values = [figure["score"]["value"] for figure in (before, after)]
    note(
        f"{removed} of {heads} heads removed, {before['score']['metric']}: "
        f"{values[0]:.4f} before, {values[1]:.4f} after"
    )
