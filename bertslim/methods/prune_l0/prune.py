"""Gates are learnt, closed ones are cut out, open ones become weights.

Hard-concrete gates on a fine-tuned model (McCarley, Chakravarti and Sil 2020), with a penalty or
towards a target (CoFi: Xia, Zhong and Chen 2022).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from bertslim.errors import SettingsError, fault_list
from bertslim.methods.prune_l0.cut import Cut, cut
from bertslim.methods.prune_l0.gated import GatedModel, priced_objective
from bertslim.methods.prune_l0.gates import PerKind, as_gates, gate_counts
from bertslim.methods.prune_l0.hard_concrete import open_probability
from bertslim.methods.prune_l0.price import Constraint, Penalty, Price
from bertslim.methods.prune_l0.settings import Kind, Measure, PruneL0
from bertslim.methods.prune_l0.sparsity import expected_sparsity, sparsity
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.folding import without_closed
from bertslim.model.modeling import SlimBertForMaskedLM, SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt
from bertslim.train.encoding import mask_tokens
from bertslim.train.examples import Examples
from bertslim.train.loop import fit
from bertslim.train.optimisation import Group, grouped_adamw, weight_groups
from bertslim.train.resume import ResumeFolder
from bertslim.train.settings import TrainReport, TrainSettings

MEASURES: tuple[Measure, ...] = ("parameters", "flops")
GATE_RATE = "--gate-learning-rate"


@dataclass(frozen=True, slots=True)
class L0Report:
    """What was learnt and what was cut; by kind a number for each layer, of `hidden` a single one.

    Attributes:
        gates: How many there were.
        expected: How many were expected to be open at the end: the sum of P(z > 0).
        realised: How many are left.
        expected_sparsity: By measure, the part of all layers that was expected to go.
        sparsity: By measure, the part that went.
        threshold: log alpha of the last gate to go, before widths were rounded.
        training: How the gates were learnt.
    """

    gates: Mapping[Kind, list[int]]
    expected: Mapping[Kind, list[float]]
    realised: Mapping[Kind, list[int]]
    expected_sparsity: Mapping[Measure, float]
    sparsity: Mapping[Measure, float]
    threshold: float | None
    training: TrainReport


def prune_l0(
    model: SlimBertPreTrainedModel,
    settings: PruneL0,
    learnt: Examples,
    training: TrainSettings,
    *,
    resume: ResumeFolder | None = None,
) -> tuple[SlimBertPreTrainedModel, L0Report]:
    """Learn gates from the task's loss and what open gates cost, and cut the closed ones out.

    The state of the last epoch counts: earlier ones have more gates open. With `train` "gates"
    the weights that are left are those of the model, times their gates.

    Args:
        model: A fine-tuned model; it is left as it is.
        settings: What has gates, and where they are to go.
        learnt: Training examples.
        training: How to train; its learning rate is that of the weights, if they learn.
        resume: See `fit`.

    Returns:
        A smaller model that computes what the gated one did, and what was done.

    Raises:
        SettingsError: If the model cannot have such gates, or they cannot meet the target.
        TrainingError: If nothing of a kind would be left, or training diverged.
    """
    refuse_what_cannot_be(model, settings)
    gated = gated_model(model, settings, training.steps(len(learnt.encoded)))
    masking = learnt.masking
    gated, report = fit(
        gated,
        learnt.encoded,
        priced_objective,
        training,
        optimize=partial(optimizer, settings=settings, training=training),
        prepare=partial(mask_tokens, masking=masking) if masking else None,
        resume=resume,
    )
    log_alpha = {k: [layer.detach() for layer in ls] for k, ls in gated.locations().items()}
    found = cut(model.config, log_alpha, settings.multiple, settings.target)
    smaller = without_closed(gated.gated, as_gates(found.values))
    return smaller, _report(model.config, log_alpha, found, report)


def refuse_what_cannot_be(model: SlimBertPreTrainedModel, settings: PruneL0) -> None:
    """Refuse what this model cannot have; the rest was refused when the settings were made.

    Raises:
        SettingsError: With everything that is wrong.
    """
    faults, config = [], model.config
    if "hidden" in settings.kinds and isinstance(model, SlimBertForMaskedLM):
        faults.append("--gates hidden: a masked language model's decoder is its word table")
    counts = gate_counts(config, settings.kinds)
    faults += [f"--gates {kind}: the model has none" for kind, n in counts.items() if not sum(n)]
    if settings.target:
        nothing = {k: [torch.zeros(n, dtype=torch.bool) for n in ns] for k, ns in counts.items()}
        most = sparsity(settings.target.of, config, nothing)
        if settings.target.sparsity > most:
            faults.append(
                f"--target-sparsity {settings.target.sparsity}: all {' and '.join(settings.kinds)} "
                f"together are only {most:.3f} of the {settings.target.of}"
            )
    if faults:
        raise SettingsError(fault_list("this model cannot have these gates", faults))


def gated_model(model: SlimBertPreTrainedModel, settings: PruneL0, steps: int) -> GatedModel:
    """Give a copy of the model gates; its weights are frozen unless they learn."""
    copy = rebuilt(model, model.config, model.state_dict())
    copy.requires_grad_(settings.train == "all")
    price: Price
    if settings.target is not None:
        price = Constraint(settings.target, model.config, steps)
    else:
        price = Penalty(settings.penalty or 0.0)
    gated = GatedModel(copy, settings.kinds, price)
    gated.train(False)
    return gated


def optimizer(
    gated: GatedModel, settings: PruneL0, training: TrainSettings
) -> torch.optim.Optimizer:
    """Build AdamW: gates have a rate of their own, and multipliers climb."""
    groups = [
        *weight_groups(gated.gated, training.learning_rate, training.weight_decay),
        Group(list(gated.log_alpha.parameters()), settings.gate_learning_rate, flag=GATE_RATE),
    ]
    if isinstance(gated.price, Constraint):
        multipliers = list(gated.price.parameters())
        groups.append(Group(multipliers, gated.price.rate, ascends=True, flag=GATE_RATE))
    built = grouped_adamw([group for group in groups if group.parameters])
    built.register_step_post_hook(gated.finish_step)
    return built


def _report(
    config: SlimBertConfig, log_alpha: PerKind, found: Cut, training: TrainReport
) -> L0Report:
    opened = {kind: [open_probability(a) for a in layers] for kind, layers in log_alpha.items()}
    kept = {kind: [value > 0 for value in layers] for kind, layers in found.values.items()}
    return L0Report(
        gates={kind: [len(a) for a in layers] for kind, layers in log_alpha.items()},
        expected={kind: [float(p.sum()) for p in layers] for kind, layers in opened.items()},
        realised={kind: [int(k.sum()) for k in layers] for kind, layers in kept.items()},
        expected_sparsity={of: float(expected_sparsity(of, config, opened)) for of in MEASURES},
        sparsity={of: sparsity(of, config, kept) for of in MEASURES},
        threshold=found.threshold,
        training=training,
    )
