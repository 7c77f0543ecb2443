"""What a student is asked to learn from its teacher."""

from dataclasses import dataclass

from bertslim.errors import SettingsError, fault_list


@dataclass(frozen=True, slots=True)
class Distill:
    """Settings of `distill`."""

    temperature: float
    """Softens the distributions of teacher and student before they are compared."""
    alpha: float
    """Weight of the teacher; the labels get 1 - alpha."""

    def __post_init__(self) -> None:
        faults = []
        if not self.temperature > 0:
            faults.append(f"--temperature must be above 0, not {self.temperature}")
        if not 0 <= self.alpha <= 1:
            faults.append(f"--alpha must lie between 0 and 1, not {self.alpha}")
        if faults:
            raise SettingsError(fault_list("the teacher cannot be weighed so", faults))
