import pytest

from bertslim.errors import SettingsError
from bertslim.methods.distill.settings import Distill, distill_settings
from bertslim.methods.distill.shape import parse_shape


def test_options_are_read() -> None:
    found = distill_settings("pkd", 5.0, 0.7, ["patient=0.5", "mse=0"], "2,4", "ffn=8")
    assert found == Distill(
        "pkd", 5.0, 0.7, {"patient": 0.5, "mse": 0.0}, (2, 4), parse_shape("ffn=8")
    )
    assert distill_settings("logits", 1.0, None, [], "last", None).match == "last"


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_both_ends_of_alpha_are_fine(alpha: float) -> None:
    assert distill_settings("logits", 1e-3, alpha, [], "skip", None).alpha == alpha


def test_all_faults_are_told_at_once() -> None:
    weights = ["soft=-1", "hard=1", "mse", "task=nan", "cosine=1", "cosine=2"]
    with pytest.raises(SettingsError) as refusal:
        distill_settings("logits", 0.0, 2.0, weights, "first", "ffn=0,width=1")
    faults = str(refusal.value).splitlines()[1:]
    words = ["--temperature", "--alpha", "soft=-1", "hard", "mse", "task=nan", "twice", "--match"]
    words += ["--student ffn=0,width=1: ffn=0", "width"]
    assert len(faults) == len(words)
    assert [w for w, fault in zip(words, faults, strict=True) if w not in fault] == []


@pytest.mark.parametrize("match", ["", "2,", "2,-1", "1.5", "skip,2"])
def test_layers_are_numbers(match: str) -> None:
    with pytest.raises(SettingsError, match="--match"):
        distill_settings("pkd", 1.0, None, [], match, None)


@pytest.mark.parametrize("temperature", [float("nan"), float("inf"), -1.0])
def test_a_temperature_is_a_positive_number(temperature: float) -> None:
    with pytest.raises(SettingsError, match="--temperature"):
        distill_settings("logits", temperature, None, [], "skip", None)
