"""What parts take by their widths, on engines that only pretend to take time."""

from dataclasses import replace
from pathlib import Path

import pytest

from bertslim.model.configuration import layer_widths
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertForSequenceClassification, SlimBertModel
from bertslim.model.running import run_model
from bertslim.model.surgery import remove_heads
from bertslim.runtime import widths
from bertslim.runtime.agreement import full_batch
from bertslim.runtime.timing import Budget
from bertslim.runtime.torch_ import TorchEngine
from bertslim.runtime.widths import DEPTH, Probe, milliseconds, part_times, probe_model, probes
from bertslim.store.checkpoint import open_checkpoint


@pytest.fixture
def model(tiny: Path) -> SlimBertForSequenceClassification:
    return load_model(open_checkpoint(tiny))


def test_each_part_is_tried_in_some_widths_and_none(model: SlimBertModel) -> None:
    found = probes(model.config, last=False)
    assert [p.width for p in found if p.kind == "heads"] == [0, 1, 2, 3, 4]
    assert [p.width for p in found if p.kind == "ffn"] == [0, 16, 32, 48, 64]
    assert not any(p.last for p in found)


def test_uneven_models_are_tried_as_wide_as_they_are_anywhere(model: SlimBertModel) -> None:
    uneven = remove_heads(model, {0: [1, 2], 1: [0]})
    heads = [p.width for p in probes(uneven.config, last=True) if p.kind == "heads"]
    assert heads == [0, 1, 2, 3]


@pytest.mark.parametrize("probe", [Probe("heads", 0, False), Probe("ffn", 16, False)])
def test_a_probe_in_the_middle_goes_on_with_all_tokens(model: SlimBertModel, probe: Probe) -> None:
    made = probe_model(model.config, probe)
    assert type(made) is SlimBertModel
    found = layer_widths(made.config)
    assert len(found) == DEPTH
    assert {(w.heads, w.intermediate_size) for w in found} == (
        {(0, 64)} if probe.kind == "heads" else {(4, 16)}
    )
    states = run_model(made, full_batch(made.config, 2, 8, seed=0))["last_hidden_state"]
    assert states.shape == (2, 8, 32)


def test_a_probe_of_the_last_layer_is_a_classifier(model: SlimBertModel) -> None:
    made = probe_model(model.config, Probe("heads", 3, True))
    assert made.first_token_only
    assert [w.heads for w in layer_widths(made.config)] == [3]
    run_model(made, full_batch(made.config, 2, 8, seed=0))


def test_a_part_takes_what_it_adds() -> None:
    times = {Probe("heads", n, False): 10 + DEPTH * 0.5 * n for n in (4, 0, 2)}
    times |= {Probe("heads", n, True): 3.0 + n for n in (0, 4)}
    times |= {Probe("ffn", n, False): 1.0 + n for n in (0, 64)}
    assert part_times(times, "heads", last=False) == ([0, 2, 4], [0.0, 1.0, 2.0])
    assert part_times(times, "heads", last=True) == ([0, 4], [0.0, 4.0])
    assert part_times(times, "ffn", last=False) == ([0, 64], [0.0, 64 / DEPTH])


def test_engines_are_timed_in_turns(model: SlimBertModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widths, "TURNS", replace(widths.TURNS, seconds=0, least_rounds=2))
    assert isinstance(widths.TURNS, Budget)
    model.train(mode=False)
    engines = {name: TorchEngine(model, "fp32") for name in ("a", "b")}
    found = milliseconds(engines, full_batch(model.config, 1, 8, seed=0))
    assert found.keys() == {"a", "b"}
    assert all(time > 0 for time in found.values())
