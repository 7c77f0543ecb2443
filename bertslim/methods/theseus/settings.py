"""What is asked of `theseus`."""

import re
from dataclasses import dataclass

from bertslim.errors import SettingsError, fault_list
from bertslim.methods.theseus.language import read_successor
from bertslim.methods.theseus.schedule import CURRICULA, Schedule
from bertslim.methods.theseus.successors.successor import Choices, Initialise, Kind, Sharing


@dataclass(frozen=True, slots=True)
class Theseus:
    """Settings of `theseus`."""

    successor: str
    """See `language`."""
    initialise: Initialise
    sharing: Sharing
    schedule: str
    """One of `CURRICULA`."""
    rate: float
    """b: where the line begins, or the constant."""
    full_at: str
    """A step, or a fraction of the replacing phase, where the line ends."""
    finetune_epochs: int
    """The last epochs, in which the successor is alone."""
    unfreeze: bool
    """Whether embeddings and head learn as well in those."""
    distill: float
    """Weight of the predecessor's logits, 0 to 1; the labels get the rest."""

    def __post_init__(self) -> None:
        faults = [f"--successor: {fault}" for fault in self._read()[1]]
        faults += [fault for fault, fine in self._checks().items() if not fine]
        if faults:
            raise SettingsError(fault_list("nothing can be replaced like this", faults))

    def _checks(self) -> dict[str, bool]:
        fraction = _fraction(self.full_at)
        steps = re.fullmatch(r"[1-9]\d*", self.full_at) is not None
        return {
            f"--schedule {self.schedule} is none of {', '.join(CURRICULA)}": self.schedule
            in CURRICULA,
            f"--rate {self.rate:g} must lie above 0 and not above 1": 0 < self.rate <= 1,
            f"--full-at {self.full_at} is neither a step such as 500 nor a fraction such as 0.8": (
                steps or (fraction is not None and 0 < fraction <= 1)
            ),
            # of a file's `full-at = 1` all of the steps are meant
            "--full-at 1 is the first step, where no line can end: all steps are 1.0": (
                self.full_at != "1"
            ),
            "--finetune-epochs must not be negative": self.finetune_epochs >= 0,
            "--unfreeze needs epochs to learn in: raise --finetune-epochs": (
                self.finetune_epochs > 0 or not self.unfreeze
            ),
            f"--distill {self.distill:g} must lie between 0 and 1": 0 <= self.distill <= 1,
        }

    @property
    def kinds(self) -> list[Kind]:
        """What makes the successor."""
        return self._read()[0]

    def _read(self) -> tuple[list[Kind], list[str]]:
        return read_successor(self.successor, Choices(self.initialise, self.sharing))

    def schedule_over(self, steps: int) -> Schedule:
        """Return the schedule of a replacing phase of so many steps."""
        fraction = _fraction(self.full_at)
        full_at = int(self.full_at) if fraction is None else max(1, round(fraction * steps))
        return Schedule(self.schedule, self.rate, full_at, steps)


def _fraction(text: str) -> float | None:
    """Read a number with a point; None for anything else."""
    return float(text) if re.fullmatch(r"\d*\.\d+|\d+\.", text) else None
