"""What the widths of a model cost on a runtime of this machine, and what a model takes in all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bertslim.commands.forms import form_for
from bertslim.console import track

if TYPE_CHECKING:
    from bertslim.methods.prune_heads.costs import Costs
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.runtime.engine import Engine

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Scene:
    """Where time is taken: a runtime, in fp32, and the shape of a batch."""

    target: str
    batch: int
    length: int


def latency_costs(model: "SlimBertPreTrainedModel", scene: Scene) -> "Costs":
    """Time models of few widths, and draw lines between them: milliseconds for a batch.

    Raises:
        UnavailableError: If the runtime is not there.
    """
    from bertslim.methods.prune_heads.costs import measured_costs
    from bertslim.methods.prune_heads.parts import parts_of
    from bertslim.runtime.widths import part_times, probe_model, probes

    config = model.config
    kinds = (False, True) if model.first_token_only else (False,)
    wanted = [probe for last in kinds for probe in probes(config, last=last)]
    times = latencies({probe: probe_model(config, probe) for probe in wanted}, scene)
    count = config.num_hidden_layers
    last = {part: model.first_token_only and part.layer == count - 1 for part in parts_of(config)}
    points = {p: part_times(times, p.kind, last=last[p]) for p in parts_of(config)}
    return measured_costs(config, points)


def latencies(models: "Mapping[Name, SlimBertPreTrainedModel]", scene: Scene) -> dict[Name, float]:
    """Time models in turns; return the milliseconds that each takes for a batch."""
    from bertslim.runtime.agreement import full_batch
    from bertslim.runtime.widths import milliseconds

    engines: dict[Name, Engine] = {}
    few_words = min((model.config for model in models.values()), key=lambda c: c.vocab_size)
    try:
        for name, model in track(models.items(), "building engines", total=len(models)):
            engines[name] = _engine(model, scene.target)
        return milliseconds(engines, full_batch(few_words, scene.batch, scene.length, seed=0))
    finally:
        for engine in engines.values():
            engine.close()


def _engine(model: "SlimBertPreTrainedModel", target: str) -> "Engine":
    from bertslim.graph.emit import emit
    from bertslim.runtime.engine import EngineSettings, Source, build
    from bertslim.runtime.machine import available_cores

    def graph(runtime: str, precision: str) -> bytes:
        written: bytes = emit(model, form_for(runtime, precision)).SerializeToString()
        return written

    return build(target, "fp32", Source(model, graph), EngineSettings(available_cores()))
