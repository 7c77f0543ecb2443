"""What `prune-heads` does under a budget: counts or measures costs, prunes, writes, scores."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertslim.commands.figures import figures
from bertslim.commands.prune_heads.latency import Scene, latencies, latency_costs
from bertslim.commands.prune_heads.work import Job, Material, opened, read_material
from bertslim.console import note
from bertslim.errors import SettingsError

if TYPE_CHECKING:
    from bertslim.methods.prune_heads.budget import Limits
    from bertslim.methods.prune_heads.costs import Costs
    from bertslim.methods.prune_heads.plan import PruneUnits
    from bertslim.methods.prune_heads.units import UnitReport
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.modeling import SlimBertPreTrainedModel


def run_search(job: Job, directory: Path) -> dict[str, Any]:
    """Prune under a budget, write, score; return the step's report.

    Raises:
        SettingsError: If so much cannot go.
        QualityError: If nothing can go within --max-drop.
    """
    from bertslim.methods.prune_heads.units import prune_units
    from bertslim.model.loading import save_model

    model = opened(job)
    costs = _costs(job, model)
    fraction = _fraction(job, model.config, costs)
    material = read_material(job, model, choosing=_chooses(job))
    settings = _settings(job, costs, fraction, material)
    pruned, report = prune_units(model, settings, material.evidence, material.tuning)
    save_model(pruned, directory, tokenizer_from=job.checkpoint.path)
    before, after = (figures(m, material.reported) for m in (model, pruned))
    _say(report, before, after)
    return {
        "units": asdict(report),
        "cost": _real_cost(job, model, pruned),
        "before": before,
        "after": after,
    }


def _limits(job: Job) -> "Limits":
    from bertslim.methods.prune_heads.budget import Limits
    from bertslim.methods.prune_heads.parts import KINDS

    budget = job.wishes.budget
    kinds = KINDS if budget.units == "heads,ffn" else KINDS[:1]
    return Limits(kinds, job.wishes.removal.keep_at_least, budget.multiple)


def _costs(job: Job, model: "SlimBertPreTrainedModel") -> "Costs":
    """Make the table of costs that --budget asks for."""
    from bertslim.methods.prune_heads.costs import flops_costs, head_costs

    budget, config = job.wishes.budget, model.config
    if budget.currency != "heads" and budget.length > config.positions:
        raise SettingsError(
            f"--length {budget.length}: the model reads at most {config.positions} tokens",
            "lower it",
        )
    if budget.currency == "heads":
        return head_costs(config)
    if budget.currency == "flops":
        return flops_costs(config, budget.length)
    note(f"measuring what widths take on {budget.target}")
    return latency_costs(model, _scene(job))


def _scene(job: Job) -> Scene:
    budget = job.wishes.budget
    return Scene(budget.target or "", budget.batch, budget.length)


def _fraction(job: Job, config: "SlimBertConfig", costs: "Costs") -> float | None:
    """Return what fraction of the cost is to go; None where a bound decides.

    Raises:
        SettingsError: If so much cannot go, which is found out before data is read.
    """
    from bertslim.methods.prune_heads.amount import heads_to_remove
    from bertslim.methods.prune_heads.budget import check_budget
    from bertslim.methods.prune_heads.units import STEPS

    removal, limits = job.wishes.removal, _limits(job)
    amount: float | int | None = removal.remove
    if amount is None:
        check_budget(costs, limits, (1 - 1 / STEPS) * costs.total)
        return None
    if job.wishes.budget.currency == "heads":
        return heads_to_remove(config, amount, removal.keep_at_least) / costs.total
    if amount == 0:
        raise SettingsError("--remove 0.0 removes nothing", "raise it")
    check_budget(costs, limits, (1 - amount) * costs.total)
    return amount


def _chooses(job: Job) -> bool:
    """Whether something has to be chosen by a metric, for which training rows are held out."""
    budget = job.wishes.budget
    splits = budget.units == "heads,ffn" and budget.way == "gradient"
    return splits or job.wishes.removal.max_drop is not None


def _settings(job: Job, costs: "Costs", fraction: float | None, material: Material) -> "PruneUnits":
    from bertslim.methods.prune_heads.drop import Bound
    from bertslim.methods.prune_heads.plan import PruneUnits

    budget, drop = job.wishes.budget, job.wishes.removal.max_drop
    remove: float | Bound | None = fraction
    if drop is not None and material.tuning is not None:
        remove = Bound(drop, material.tuning)
    if remove is None:
        raise SettingsError("nothing says how much goes", "give --remove or --max-drop")
    return PruneUnits(
        method=budget.way,
        costs=costs,
        limits=_limits(job),
        remove=remove,
        rearrange=budget.way == "fisher",
        tune=None if budget.form == "none" else budget.form,
        seed=job.seed,
    )


def _real_cost(
    job: Job, model: "SlimBertPreTrainedModel", pruned: "SlimBertPreTrainedModel"
) -> dict[str, float]:
    """Count, or measure, what both models really cost: of latency, with embeddings and head."""
    from bertslim.model.configuration import layer_widths
    from bertslim.model.shapes import encoder_flops

    budget, both = job.wishes.budget, {"before": model, "after": pruned}
    if budget.currency == "latency":
        return latencies(both, _scene(job))
    if budget.currency == "flops":
        return {name: float(encoder_flops(m.config, budget.length)) for name, m in both.items()}
    return {name: float(sum(w.heads for w in layer_widths(m.config))) for name, m in both.items()}


def _say(report: "UnitReport", before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    values = [figure["score"]["value"] for figure in (before, after)]
    note(
        f"{1 - report.after / report.before:.1%} of the {report.unit} removed: heads "
        f"{' '.join(map(str, report.heads))}, FFN {' '.join(map(str, report.ffn))}"
    )
    note(f"{before['score']['metric']}: {values[0]:.4f} before, {values[1]:.4f} after")
