"""What `theseus` does: reads the data, replaces, writes, draws, scores."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.figures import figures
from bertslim.commands.step import rank
from bertslim.commands.theseus.picture import PICTURE, draw_replacement
from bertslim.commands.training import SECONDS_BETWEEN_SAVES
from bertslim.store.checkpoint import Checkpoint
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.methods.theseus.settings import Theseus


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    checkpoint: Checkpoint
    task: Task
    theseus: "Theseus"
    training: TrainSettings


def refuse_model(checkpoint: Checkpoint, wishes: "Theseus") -> None:
    """Refuse a predecessor that is broken, or cannot be changed as asked; no data is read.

    Raises:
        CheckpointError: If it cannot be opened.
        SettingsError: With all reasons why it cannot be changed.
    """
    from bertslim.methods.theseus.theseus import refuse_unfit
    from bertslim.model.loading import load_model

    refuse_unfit(load_model(checkpoint).config, wishes)


def run(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    """Replace, write, score; return the step's report."""
    from bertslim.methods.theseus.theseus import theseus
    from bertslim.model.loading import load_model, save_model
    from bertslim.train.examples import Sample, load_tokenizer, read_examples, read_tuning
    from bertslim.train.precision import choose_device, placed
    from bertslim.train.resume import ResumeFolder

    predecessor = placed(load_model(job.checkpoint), choose_device(job.training.device))
    tokenizer = load_tokenizer(job.checkpoint.path)
    reported = read_examples(job.task, "validation", predecessor, tokenizer)
    everything = Sample(sys.maxsize, job.training.seed)
    learnt, held_out = read_tuning(job.task, predecessor, tokenizer, everything)
    successor, report = theseus(
        predecessor,
        job.theseus,
        learnt,
        held_out,
        job.training,
        resume=ResumeFolder(resume, SECONDS_BETWEEN_SAVES),
    )
    if rank() > 0:
        return {}
    save_model(successor, directory, tokenizer_from=job.checkpoint.path)
    draw_replacement(report, job.task.metric, job.training.seed, directory / PICTURE)
    return {
        "theseus": asdict(report),
        "before": figures(predecessor, reported),
        "after": figures(successor, reported),
    }
