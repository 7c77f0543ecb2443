"""`bertslim prune-l0`."""

import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from bertslim.commands.figures import figures
from bertslim.commands.options import (
    DeviceOption,
    Model,
    Seed,
    StepOptions,
    TaskFile,
    command,
    given_options,
    idle_faults,
    refuse_options,
)
from bertslim.commands.step import Step, rank, read_source, run_step
from bertslim.commands.training import (
    SECONDS_BETWEEN_SAVES,
    TrainingOptions,
    lasting,
    train_settings,
)
from bertslim.console import note
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.train.settings import TrainSettings
from bertslim.train.task import Task, load_task, task_digest

if TYPE_CHECKING:
    from bertslim.methods.prune_l0.prune import L0Report
    from bertslim.methods.prune_l0.settings import Kind, PruneL0
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.train.examples import Examples


OF_WEIGHTS = ("learning_rate", "weight_decay", "freeze_embeddings")
"""Options of training that gates have nothing to do with."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What is gated, and how the gates are learnt."""

    gates: Annotated[
        str,
        typer.Option("--gates", metavar="KINDS", help="What may go: any of heads, ffn, hidden."),
    ] = "heads,ffn"
    penalty: Annotated[
        float | None,
        typer.Option("--penalty", help="Cost of open gates, for each kind; the paper's is 0.73."),
    ] = None
    target_sparsity: Annotated[
        float | None,
        typer.Option("--target-sparsity", help="Part of all layers that is to go, instead."),
    ] = None
    of: Annotated[
        Literal["parameters", "flops"],
        typer.Option("--of", help="What --target-sparsity is a part of."),
    ] = "parameters"
    multiple: Annotated[
        int,
        typer.Option(
            "--multiple", min=1, help="Round FFN and hidden widths to multiples; int8 likes 32."
        ),
    ] = 8
    train: Annotated[
        Literal["gates", "all"],
        typer.Option("--train", help="Learn the gates alone, or the weights with them."),
    ] = "gates"
    gate_learning_rate: Annotated[
        float, typer.Option("--gate-learning-rate", min=0, help="Highest rate of the gates.")
    ] = 0.1
    recover: Annotated[
        int,
        typer.Option("--recover", min=0, help="Epochs of learning from the teacher after the cut."),
    ] = 3
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="MODEL",
            help="Teaches in --recover; by default the unpruned model.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for."""

    checkpoint: Checkpoint
    teacher: Checkpoint | None
    task: Task
    gates: "PruneL0"
    training: TrainSettings
    recover: int


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "prune-l0",
        examples="""
        bertslim prune-l0 models/sst2 --task sst2.toml --target-sparsity 0.5
        bertslim prune-l0 models/sst2 --task sst2.toml --target-sparsity 0.6 --of flops --epochs 1
        bertslim prune-l0 models/sst2 --task sst2.toml --target-sparsity 0.6 \\
          --gates heads,ffn,hidden --train all --learning-rate 1e-4
        bertslim prune-l0 models/sst2 --task sst2.toml --penalty 0.73 --recover 0 \\
          | bertslim inspect -
        """,
    )(prune_l0)


def prune_l0(
    context: typer.Context,
    model: Model,
    task: TaskFile,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    gating: GateOptions,
    training: TrainingOptions,
    step: StepOptions,
) -> None:
    """Learn which heads, FFN units and hidden channels a model can do without.

    Each gets a gate that is open, closed or in between by chance (Louizos et al. 2018). In --epochs
    of training on the task they find out which may close, while open ones cost something
    (McCarley et al. 2020) or a part of the layers has to go (Xia et al. 2022). The closed ones are
    then cut out of the weights, and what open ones multiply is multiplied into the weights: the
    result is smaller and faster, not masked.

    For --recover epochs the smaller model then learns from the unpruned one. --learning-rate is the
    weights': of recovery, and of the whole with --train all. The best epoch of recovery is chosen
    on a slice of the training data; the task's validation data is only reported on.

    Interrupt it and run the same command again: it goes on where it was.
    """
    described = load_task(task)
    learning = train_settings(training, seed, device)
    method = _method(gating)
    _refuse_idle(method, gating, given_options(context))
    checkpoint = open_checkpoint(read_source(model))
    teacher = open_checkpoint(gating.teacher) if gating.teacher else None
    wanted = Step(
        command="prune-l0",
        settings=_lasting(gating) | lasting(learning) | _draws(learning),
        inputs={"model": checkpoint} | ({"teacher": teacher} if teacher else {}),
        suffix=_suffix(gating),
        data={"task": task_digest(described, ("train", "validation"))},
        data_sources={"task": str(task)},
        method_version=3,
    )

    def work(directory: Path, resume: Path) -> dict[str, Any]:
        job = Job(checkpoint, teacher, described, method, learning, gating.recover)
        return _prune(job, directory, resume)

    run_step(context, wanted, step, work, restart=training.restart)


def _method(gating: GateOptions) -> "PruneL0":
    """Turn the options into the method's settings."""
    from bertslim.methods.prune_l0.settings import PruneL0, Target

    kinds = tuple(dict.fromkeys(name.strip() for name in gating.gates.split(",") if name.strip()))
    sparsity = gating.target_sparsity
    return PruneL0(
        kinds=cast("tuple[Kind, ...]", kinds),
        penalty=gating.penalty,
        target=None if sparsity is None else Target(sparsity, gating.of),
        multiple=gating.multiple,
        train=gating.train,
        gate_learning_rate=gating.gate_learning_rate,
    )


def _refuse_idle(method: "PruneL0", gating: GateOptions, given: Collection[str]) -> None:
    """Refuse options that play no part.

    Raises:
        SettingsError: Naming all of them.
    """
    idle = {}
    if not gating.recover:
        idle["teacher"] = "--teacher teaches in --recover, which is 0"
    if method.target is None:
        idle["of"] = "--of is for --target-sparsity"
    if method.kinds == ("heads",):
        idle["multiple"] = f"--multiple {gating.multiple} is for --gates ffn or hidden"
    if method.train == "gates" and not gating.recover:
        for name in OF_WEIGHTS:
            flag = f"--{name.replace('_', '-')}"
            idle[name] = f"{flag} is about weights, and only gates learn: --recover is 0"
    refuse_options(idle_faults(idle, given))


def _lasting(gating: GateOptions) -> dict[str, Any]:
    """Return the options that play a part: the same result has the same request."""
    kept = {name: value for name, value in asdict(gating).items() if value is not None}
    kept.pop("teacher", None)
    if gating.target_sparsity is None:
        del kept["of"]
    return kept


def _draws(training: TrainSettings) -> dict[str, int]:
    """Return how often gates are drawn in a step, if not once: each part of a batch draws anew."""
    return {"accumulation": training.accumulation} if training.accumulation > 1 else {}


def _suffix(gating: GateOptions) -> str:
    if gating.target_sparsity is None:
        return f"l0-penalty{gating.penalty:g}"
    return f"l0-{100 * gating.target_sparsity:.0f}"


def _prune(job: Job, directory: Path, resume: Path) -> dict[str, Any]:
    from bertslim.methods.prune_l0 import prune as method
    from bertslim.model.loading import load_model, save_model
    from bertslim.train.examples import Sample, load_tokenizer, read_examples, read_tuning
    from bertslim.train.precision import choose_device, placed
    from bertslim.train.recovery import load_teacher
    from bertslim.train.resume import ResumeFolder

    dense = placed(load_model(job.checkpoint), choose_device(job.training.device))
    tokenizer = load_tokenizer(job.checkpoint.path)
    reported = read_examples(job.task, "validation", dense, tokenizer)
    everything = Sample(sys.maxsize, job.training.seed)
    learnt, held_out = read_tuning(job.task, dense, tokenizer, everything)
    teacher = load_teacher(job.teacher, learnt, tokenizer) if job.teacher else dense
    gates = ResumeFolder(resume / "gates", SECONDS_BETWEEN_SAVES)
    model, found = method.prune_l0(dense, job.gates, learnt, job.training, resume=gates)
    note(_summary(found))
    report: dict[str, Any] = {"l0": asdict(found)}
    if rank() == 0:
        report |= {"before": figures(dense, reported), "cut": figures(model, reported)}
    if job.recover:
        report["recovery"] = _recover(job, model, teacher, (learnt, held_out), resume)
    if rank() > 0:
        return {}
    save_model(model, directory, tokenizer_from=job.checkpoint.path)
    return report | {"after": figures(model, reported) if job.recover else report["cut"]}


def _recover(
    job: Job,
    model: "SlimBertPreTrainedModel",
    teacher: "SlimBertPreTrainedModel",
    examples: "tuple[Examples, Examples]",
    resume: Path,
) -> dict[str, Any]:
    """Train the smaller model in place."""
    from bertslim.train.recovery import recover
    from bertslim.train.resume import ResumeFolder

    settings = replace(job.training, epochs=job.recover)
    state = ResumeFolder(resume / "recovery", SECONDS_BETWEEN_SAVES)
    _, report = recover(model, teacher, *examples, settings, resume=state)
    return asdict(report)


def _summary(found: "L0Report") -> str:
    """Say what is left of what."""
    left = (
        f"{sum(found.realised[kind])} of {sum(there)} {kind}" for kind, there in found.gates.items()
    )
    gone = (f"{part:.1%} of the {of}" for of, part in found.sparsity.items())
    return f"left are {', '.join(left)}; gone {' and '.join(gone)} of all layers"
