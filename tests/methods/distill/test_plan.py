import dataclasses

import pytest

from bertslim.errors import SettingsError
from bertslim.methods.distill.plan import Plan, plan
from bertslim.methods.distill.settings import distill_settings
from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths


def config(layers: int, hidden: int = 96) -> SlimBertConfig:
    return SlimBertConfig(
        vocab_size=64, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=12
    )


def planned(
    objective: str,
    *weights: str,
    own: SlimBertConfig | None = None,
    other: SlimBertConfig | None = None,
    alpha: float | None = None,
    match: str = "skip",
) -> Plan:
    settings = distill_settings(objective, 2.0, alpha, weights, match, None)
    return plan(settings, own or config(6), other or config(12))


def layers(match: str, own: int, other: int) -> list[int]:
    """The teacher's layers that PKD takes."""
    found = planned("pkd", own=config(own), other=config(other), match=match)
    return [teacher for _, teacher in found.patient_pairs]


def test_layers_are_those_of_the_papers() -> None:
    assert layers("skip", 6, 12) == [2, 4, 6, 8, 10]  # PKD, section 4
    assert layers("last", 6, 12) == [7, 8, 9, 10, 11]
    assert layers("last", 3, 12) == [10, 11]
    assert layers("1,3", 3, 24) == [1, 3]
    tiny = planned("tinybert", own=config(4))
    assert tiny.pairs == ((1, 3), (2, 6), (3, 9), (4, 12))  # TinyBERT: g(m) = 3m


def test_weights_are_those_of_the_objective_unless_they_are_given() -> None:
    assert planned("logits", alpha=0.75).weights == {"soft": 0.75, "task": 0.25}
    assert planned("logits", alpha=1.0).weights == {"soft": 1.0}
    assert planned("pkd", "patient=3").weights["patient"] == 3
    assert planned("logits", "mse=2", "soft=0", "task=0").weights == {"mse": 2}
    assert "cosine" in planned("distilbert").weights
    body = {"embeddings": 1 / 96, "hidden": 1 / 96, "attention": 1.0}
    assert planned("tinybert").weights == body
    assert planned("tinybert", alpha=1.0).weights == {**body, "soft": 1.0}


def test_no_more_is_asked_of_the_models_than_is_read() -> None:
    assert planned("logits").asked == {}
    assert planned("pkd").asked == {"output_first_states": True}
    assert planned("distilbert").asked == {"output_hidden_states": True}
    assert planned("tinybert").asked.keys() == {"output_hidden_states", "output_attention_scores"}
    assert not planned("logits", alpha=0.0).needs_teacher
    assert planned("logits").needs_teacher
    assert not planned("tinybert").teaches_answers
    assert planned("tinybert", alpha=0.5).teaches_answers


@pytest.mark.parametrize(
    ("objective", "more", "said"),
    [
        ("pkd", {"own": config(6, 48)}, ["48 channels with 96", "patient", "tinybert"]),
        ("distilbert", {"own": config(6, 48)}, ["cosine"]),
        ("pkd", {"own": config(1)}, ["--match"]),
        ("pkd", {"match": "2,4,6,8,10,12,1"}, ["7 layers", "has 6"]),
        ("pkd", {"match": "0,13"}, ["layer 0, 13", "1 to 12"]),
        ("tinybert", {"own": config(12), "other": config(6), "match": "last"}, ["-5, -4"]),
    ],
)
def test_what_does_not_fit_is_explained(
    objective: str, more: dict[str, object], said: list[str]
) -> None:
    with pytest.raises(SettingsError) as refusal:
        planned(objective, **more)
    assert [words for words in said if words not in str(refusal.value)] == []


def test_all_faults_are_told_at_once() -> None:
    widths = list(layer_widths(config(3)))
    widths[1] = dataclasses.replace(widths[1], heads=5, kv_heads=5)
    pruned = with_widths(config(3, 48), widths)
    with pytest.raises(SettingsError) as refusal:
        planned("tinybert", "patient=1", own=pruned, match="1,2,13")
    faults = str(refusal.value).splitlines()[1:]
    assert len(faults) == 3
    assert "layer 13" in faults[0]
    assert "patient" in faults[1]
    assert "layer 2 has 5 heads, the teacher's layer 2 has 12" in faults[2]
    with pytest.raises(SettingsError, match="nothing to learn"):
        planned("logits", "soft=0", "task=0")


def test_layers_do_not_matter_to_logits() -> None:
    assert planned("logits", own=config(12, 48), other=config(6), match="last").weights
