"""What a model lost when it was made smaller, it learns again from a teacher."""

from collections.abc import Iterator
from functools import partial

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from bertslim.errors import CheckpointError, fault_list
from bertslim.model.kinds import head_named
from bertslim.model.loading import load_for_task, load_model, model_kind, nameless
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import Checkpoint
from bertslim.train.batching import row_lengths
from bertslim.train.encoding import ask_words
from bertslim.train.examples import Examples, load_tokenizer, model_labels, selection_score
from bertslim.train.loop import fit
from bertslim.train.objectives import teacher_objective
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings
from bertslim.train.teacher import LiveTeacher

TEMPERATURE, ALPHA = 2.0, 0.9
"""Most of it is learnt from the teacher, which knows more about a text than its label."""


def recover(
    student: SlimBertPreTrainedModel,
    teacher: SlimBertPreTrainedModel,
    learnt: Examples,
    held_out: Examples,
    settings: TrainSettings,
    *,
    resume: ResumeFolder | None = None,
) -> tuple[SlimBertPreTrainedModel, TrainReport]:
    """Train a model, in place, on a teacher's logits and on the labels.

    Args:
        student: What is trained.
        teacher: It reads the same rows and has the same labels in the same order, such as the model
            that the student was made from; it is left as it is.
        learnt: What is trained on.
        held_out: Another part of the training data; the best epoch is chosen on it.
        settings: How to train.
        resume: See `fit`.

    Returns:
        The student, and how training went.
    """
    masking = learnt.masking
    return fit(
        student,
        learnt.encoded,
        teacher_objective(TEMPERATURE, ALPHA),
        settings,
        teacher=LiveTeacher(teacher),
        evaluate=lambda trained: selection_score(trained, held_out),
        prepare=partial(ask_words, masking=masking, everywhere=False) if masking else None,
        resume=resume,
    )


def load_teacher(
    checkpoint: Checkpoint, learnt: Examples, tokenizer: PreTrainedTokenizerBase
) -> SlimBertPreTrainedModel:
    """Open a teacher for a student's rows, its labels in the student's order.

    Args:
        checkpoint: The teacher.
        learnt: What the student learns from.
        tokenizer: The student's.

    Raises:
        CheckpointError: With everything that keeps it from teaching on these rows.
    """
    model = load_model(checkpoint)
    faults = [
        *_head_faults(model, learnt),
        *_reading_faults(model, learnt.encoded),
        *_vocabulary_faults(load_tokenizer(checkpoint.path), tokenizer),
    ]
    if faults:
        raise CheckpointError(
            fault_list(f"{checkpoint.path} cannot teach here", faults),
            "take a model that was fine-tuned on the same task, such as the one before pruning",
        )
    return load_for_task(checkpoint, learnt.task.kind, learnt.labels)


def _head_faults(model: SlimBertPreTrainedModel, learnt: Examples) -> Iterator[str]:
    kind, names = model_kind(model), model_labels(model)
    if kind != learnt.task.kind:
        yield f"{head_named(kind)}, and the task is {learnt.task.kind}"
        return
    unnamed = nameless(names) and len(names) == len(learnt.labels)
    if learnt.labels and not unnamed and sorted(names) != sorted(learnt.labels):
        yield f"its labels are {', '.join(names)}, and not {', '.join(learnt.labels)}"


def _reading_faults(model: SlimBertPreTrainedModel, rows: Dataset) -> Iterator[str]:
    positions, longest = model.config.positions, max(row_lengths(rows), default=0)
    if longest > positions:
        yield f"it reads {positions} tokens, and there are rows of {longest}"


def _vocabulary_faults(
    theirs: PreTrainedTokenizerBase, ours: PreTrainedTokenizerBase
) -> Iterator[str]:
    if theirs.get_vocab() != ours.get_vocab():
        yield "its tokenizer has other words"
