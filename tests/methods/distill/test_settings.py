import pytest

from bertslim.errors import SettingsError
from bertslim.methods.distill.settings import Distill


@pytest.mark.parametrize(("temperature", "alpha"), [(1e-3, 0.0), (20.0, 1.0)])
def test_both_ends_of_alpha_are_fine(temperature: float, alpha: float) -> None:
    assert Distill(temperature, alpha).alpha == alpha


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        Distill(-1.0, 2.0)
    assert "--temperature" in str(refusal.value)
    assert "--alpha" in str(refusal.value)
