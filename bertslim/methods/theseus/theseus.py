"""BERT-of-Theseus (Xu et al. 2020): cheaper modules take the place of others while they learn.

The predecessor is frozen. Each batch goes through a random mixture of its modules and those of the
successor, which learn from the loss of the task alone: they are good when they fit in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from bertslim.errors import SettingsError, fault_list
from bertslim.methods.theseus.mixture import Mixture
from bertslim.methods.theseus.schedule import Schedule
from bertslim.methods.theseus.settings import Theseus
from bertslim.methods.theseus.successors.successor import Successor
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.train.encoding import ask_words
from bertslim.train.examples import Examples, selection_score
from bertslim.train.loop import fit
from bertslim.train.objectives import labels_objective, teacher_objective
from bertslim.train.resume import ResumeFolder
from bertslim.train.session import BeforeStep
from bertslim.train.settings import TrainReport, TrainSettings, batches_of
from bertslim.train.teacher import LiveTeacher

TEMPERATURE = 2.0
"""Of the predecessor's logits, where they are learnt from."""


@dataclass(frozen=True, slots=True)
class TheseusReport:
    """How the modules were replaced."""

    modules: tuple[tuple[int, ...], ...]
    """For each layer of the successor, the layers of the predecessor that it replaced."""
    schedule: Schedule
    rates: tuple[float, ...]
    """Per epoch, the mean of the rate."""
    replaced: tuple[float, ...]
    """Per epoch, the share of modules that were drawn."""
    training: TrainReport


def theseus(
    model: SlimBertPreTrainedModel,
    settings: Theseus,
    learnt: Examples,
    held_out: Examples,
    train: TrainSettings,
    *,
    resume: ResumeFolder | None = None,
) -> tuple[SlimBertPreTrainedModel, TheseusReport]:
    """Replace the modules of a fine-tuned model.

    Args:
        model: The predecessor; it is left as it is.
        settings: What replaces it, and when.
        learnt: What is trained on.
        held_out: Another part of the training data; the best epoch is chosen on it, of the
            successor alone.
        train: How to train; its epochs are those of both phases.
        resume: See `fit`.

    Returns:
        The successor, and how it came about.

    Raises:
        SettingsError: If the model cannot be changed so, or the schedule is longer than the run.
    """
    per_epoch = batches_of(len(learnt.encoded), train.batch_size)
    schedule = settings.schedule_over(per_epoch * (train.epochs - settings.finetune_epochs))
    refuse_unfit(model.config, settings, schedule)
    successor = successor_of(model, settings, learnt)
    mixture = Mixture(model, successor)
    late = _freeze(successor.model, settings.unfreeze, table=train.freeze_embeddings)
    masking, alpha = learnt.masking, settings.distill
    _, training = fit(
        mixture,
        learnt.encoded,
        teacher_objective(TEMPERATURE, alpha) if alpha else labels_objective,
        train,
        teacher=LiveTeacher(model) if alpha else None,
        evaluate=lambda trained: selection_score(trained.successor, held_out),
        prepare=partial(ask_words, masking=masking, everywhere=False) if masking else None,
        before_step=_curriculum(mixture, schedule, late, train.seed),
        resume=resume,
    )
    successor.model.requires_grad_(True).train(model.training)
    return successor.model, _report(successor, schedule, train, training, per_epoch)


def successor_of(model: SlimBertPreTrainedModel, settings: Theseus, learnt: Examples) -> Successor:
    """Make the successor as it is before it learns."""
    whole = tuple((number,) for number in range(model.config.num_hidden_layers))
    successor = Successor(model, whole)
    for kind in settings.kinds:
        successor = kind.made(successor, learnt)
    return successor


def refuse_unfit(
    config: SlimBertConfig, settings: Theseus, schedule: Schedule | None = None
) -> None:
    """Refuse a predecessor that cannot be changed as asked, and a schedule longer than its run.

    Args:
        config: Of the predecessor.
        settings: What is to replace it.
        schedule: Over the steps of the run, where these are known.

    Raises:
        SettingsError: With all faults.
    """
    faults = [f"--successor: {fault}" for kind in settings.kinds for fault in kind.faults(config)]
    if schedule and schedule.curriculum != "constant" and schedule.full_at > schedule.steps:
        faults.append(
            f"--full-at {schedule.full_at} is past the {schedule.steps} steps in which modules are "
            "replaced"
        )
    if faults:
        raise SettingsError(fault_list("this model cannot be replaced like this", faults))


def _freeze(model: SlimBertPreTrainedModel, unfreeze: bool, *, table: bool) -> list[nn.Parameter]:
    """Freeze all but the layers; return what is to learn later, which the optimiser has to know.

    Args:
        model: The successor.
        unfreeze: Whether anything is to learn later.
        table: Whether the word embedding table is not.
    """
    model.requires_grad_(False)
    model.encoder.layers.requires_grad_(True)
    if not unfreeze:
        return []
    others = set(model.encoder.layers.parameters())
    if table:
        others |= set(model.get_input_embeddings().parameters())
    late = [parameter for parameter in model.parameters() if parameter not in others]
    for parameter in late:
        parameter.requires_grad_(True)
    return late


def _curriculum(
    mixture: Mixture, schedule: Schedule, late: Sequence[nn.Parameter], seed: int
) -> BeforeStep:
    """Draw the modules of each step, and let learn later what learns later."""

    def before_step(step: int) -> None:
        mixture.replaced = schedule.drawn(step, len(mixture.groups), seed).tolist()
        for parameter in late:
            parameter.requires_grad_(step >= schedule.steps)

    return before_step


def _report(
    successor: Successor,
    schedule: Schedule,
    train: TrainSettings,
    training: TrainReport,
    per_epoch: int,
) -> TheseusReport:
    modules = len(successor.replaces)
    epochs = [range(epoch * per_epoch, (epoch + 1) * per_epoch) for epoch in range(train.epochs)]
    return TheseusReport(
        modules=successor.replaces,
        schedule=schedule,
        rates=tuple(sum(map(schedule.at, steps)) / per_epoch for steps in epochs),
        replaced=tuple(
            sum(float(schedule.drawn(step, modules, train.seed).mean()) for step in steps)
            / per_epoch
            for steps in epochs
        ),
        training=training,
    )
