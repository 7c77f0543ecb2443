"""What can be asked of `prune_l0`; apart from it, since this needs no PyTorch."""

from dataclasses import dataclass
from typing import Final, Literal

from bertslim.errors import SettingsError, fault_list

Kind = Literal["heads", "ffn", "hidden"]
KINDS: Final[tuple[Kind, ...]] = ("heads", "ffn", "hidden")
"""What can have gates: attention heads, FFN units, channels of the hidden state."""

Measure = Literal["parameters", "flops"]
"""Of all layers; embeddings, pooler and head are left out. FLOPs are those of 128 tokens."""

Learning = Literal["gates", "all"]


@dataclass(frozen=True, slots=True)
class Target:
    """How much is to go.

    Attributes:
        sparsity: The part, between 0 and 1.
        of: Of what.
    """

    sparsity: float
    of: Measure


@dataclass(frozen=True, slots=True)
class PruneL0:
    """Settings of `prune_l0`.

    Attributes:
        kinds: What gets gates.
        penalty: What open gates cost, for each kind; None where there is a target.
        target: How much is to go; None where there is a penalty.
        multiple: FFN and hidden widths are rounded to multiples of it.
        train: What is learnt: the gates alone, or the weights as well.
        gate_learning_rate: AdamW's, of the gates.
    """

    kinds: tuple[Kind, ...]
    penalty: float | None
    target: Target | None
    multiple: int
    train: Learning
    gate_learning_rate: float

    def __post_init__(self) -> None:
        faults = [fault for fault, fine in self._checks().items() if not fine]
        if faults:
            raise SettingsError(fault_list("gates cannot be learnt", faults))

    def _checks(self) -> dict[str, bool]:
        unknown = ", ".join(kind for kind in self.kinds if kind not in KINDS)
        sparsity = self.target.sparsity if self.target else 0.5
        return {
            f"--gates takes {', '.join(KINDS)}, not {unknown or 'nothing'}": not unknown
            and len(self.kinds) > 0,
            "--penalty or --target-sparsity is needed, and not both": (self.penalty is None)
            != (self.target is None),
            "--penalty must be above 0": self.penalty is None or self.penalty > 0,
            "--target-sparsity must lie between 0 and 1": 0 < sparsity < 1,
            "--multiple must be at least 1": self.multiple >= 1,
            "--gate-learning-rate must be above 0": self.gate_learning_rate > 0,
        }
