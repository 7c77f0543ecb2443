"""The options of `prune-heads`: how much goes, judged by what, paid in what; what excludes what."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import typer

from bertslim.commands.options import idle_faults, refuse_options

Method = Literal["gradient", "fisher", "surgeon"]
Currency = Literal["heads", "flops", "latency"]
Form = Literal["none", "scales", "projections"]
Target = Literal["onnxruntime", "openvino", "torch"]

OFF_THE_LIST = "is for heads alone, by --method gradient and --budget heads"
"""What goes with heads that are taken off a list, and not with a search."""


def parse_amount(value: object) -> float | int:
    """Read a fraction of all units, or, where it is written as an integer from 1 on, a number."""
    text = str(value)
    try:
        amount = int(text) if text.isdecimal() and int(text) else float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a fraction nor a number") from error
    if isinstance(amount, float) and not 0 <= amount <= 1:
        raise typer.BadParameter(
            f"{text} is neither a fraction from 0 to 1 nor a whole number of heads"
        )
    return amount


@dataclass(frozen=True, slots=True)
class RemovalOptions:
    """How much goes, and in which order."""

    remove: Annotated[
        float | None,
        typer.Option(
            "--remove",
            parser=parse_amount,
            metavar="FRACTION|COUNT",
            help="What to remove of the budget, which is all heads: 0.4 is 40 %, 29 is 29 heads.",
            show_default=False,
        ),
    ] = None
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            min=0,
            help="Instead: as much as the metric, on held-out training data, falls by no more.",
        ),
    ] = None
    keep_at_least: Annotated[
        int,
        typer.Option(
            "--keep-at-least",
            min=0,
            help="Heads that every layer keeps; 0 lets an attention go as a whole.",
        ),
    ] = 1
    order: Annotated[
        Literal["iterative", "once"],
        typer.Option("--order", help="Score the rest anew at every tenth, or rank once."),
    ] = "iterative"


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """What heads are judged by."""

    score: Annotated[
        Literal["example", "token"],
        typer.Option(
            "--score", help="Where the absolute value is taken: the paper, or the paper's code."
        ),
    ] = "example"
    examples: Annotated[
        int,
        typer.Option("--examples", min=1, help="Training examples that each scoring looks at."),
    ] = 2048
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Examples per backward pass.")
    ] = 32


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """Which units there are, what they are judged by and paid in, and what is done for the rest."""

    units: Annotated[
        Literal["heads", "heads,ffn"],
        typer.Option("--units", help="What may go: heads alone, or FFN units as well."),
    ] = "heads"
    method: Annotated[
        Method | None,
        typer.Option(
            "--method",
            help="What units are judged by: gradient for heads; else surgeon.",
            show_default=False,
        ),
    ] = None
    budget: Annotated[
        Currency | None,
        typer.Option(
            "--budget",
            help="What --remove is a fraction of: of heads; with FFN units, the encoder's FLOPs.",
            show_default=False,
        ),
    ] = None
    tune: Annotated[
        Form | None,
        typer.Option(
            "--tune",
            help="What least squares set anew: projections, but none for heads by gradient.",
            show_default=False,
        ),
    ] = None
    multiple: Annotated[
        int, typer.Option("--multiple", min=1, help="FFN widths are multiples of it; 32 for int8.")
    ] = 8
    length: Annotated[
        int, typer.Option("--length", min=2, help="Tokens of a sequence, for flops and latency.")
    ] = 128
    batch: Annotated[
        int, typer.Option("--batch", min=1, help="Sequences in a batch, for latency.")
    ] = 1
    target: Annotated[
        Target | None,
        typer.Option("--target", help="Runtime that latency is measured on.", show_default=False),
    ] = None

    @property
    def way(self) -> Method:
        """What units are judged by."""
        return self.method or ("gradient" if self.units == "heads" else "surgeon")

    @property
    def currency(self) -> Currency:
        """What units are paid in."""
        return self.budget or ("heads" if self.units == "heads" else "flops")

    @property
    def form(self) -> Form:
        """What is set anew afterwards."""
        return self.tune or ("projections" if self.searched else "none")

    @property
    def searched(self) -> bool:
        """Whether widths are searched for under a budget, and heads not just taken off a list."""
        return (self.units, self.way, self.currency) != ("heads", "gradient", "heads")


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that is asked for."""

    removal: RemovalOptions
    scoring: ScoringOptions
    budget: BudgetOptions
    curve: bool

    @property
    def removes(self) -> bool:
        """Whether anything goes."""
        return self.removal.remove is not None or self.removal.max_drop is not None

    def settings(self) -> dict[str, Any]:
        """Keep the options that play a part: the same result has the same request."""
        chosen = {**asdict(self.removal), **asdict(self.scoring), "curve": self.curve}
        del chosen["batch_size"]
        if not self.removes or self.budget.searched:
            del chosen["order"]
        if self.budget.searched:
            del chosen["score"], chosen["curve"]
            chosen |= self._budget_settings()
        elif self.budget.form != "none":
            chosen["tune"] = self.budget.form
        return {name: value for name, value in chosen.items() if value is not None}

    def suffix(self) -> str:
        """Say in the default output's name what went."""
        amount: float | int | None = self.removal.remove
        units = "heads" if self.budget.units == "heads" else "units"
        if isinstance(amount, int):
            return f"{amount}heads"
        if amount is not None:
            return f"{units}{100 * amount:.0f}"
        drop = self.removal.max_drop
        return "heads-curve" if drop is None else f"{units}-drop{drop:g}"

    def refuse_what_cannot_be(self, given: Collection[str]) -> None:
        """Refuse what contradicts itself or plays no part, before anything is read.

        Args:
            given: Names of the options that were not left as they are by default.

        Raises:
            SettingsError: With all faults.
        """
        idle = idle_faults(self._idle(), given)
        refuse_options([*self._faults_of_amount(), *self._faults_of_budget(), *idle])

    def _budget_settings(self) -> dict[str, Any]:
        budget = self.budget
        chosen: dict[str, Any] = {
            "units": budget.units,
            "method": budget.way,
            "budget": budget.currency,
            "tune": budget.form,
        }
        if budget.units != "heads":
            chosen["multiple"] = budget.multiple
        if budget.currency != "heads":
            chosen["length"] = budget.length
        if budget.currency == "latency":
            chosen |= {"batch": budget.batch, "target": budget.target}
        return chosen

    def _faults_of_amount(self) -> list[str]:
        removal, budget, faults = self.removal, self.budget, list[str]()
        amount: float | int | None = removal.remove
        if amount is not None and removal.max_drop is not None:
            faults.append("--remove and --max-drop both say how much goes: leave one of them out")
        if not self.removes and not self.curve:
            faults.append(
                "nothing says how much goes: give --remove or --max-drop, or --curve to look first"
            )
        if not self.removes and budget.form != "none" and not budget.searched:
            faults.append(f"--tune {budget.form} is for what is left when something goes")
        if isinstance(amount, int) and budget.currency != "heads":
            faults.append(
                f"--remove {amount} is a number of heads, but --budget {budget.currency} "
                "needs a fraction, such as 0.5"
            )
        return faults

    def _faults_of_budget(self) -> list[str]:
        budget, faults = self.budget, list[str]()
        if budget.units != "heads" and budget.currency == "heads":
            faults.append("--budget heads does not count FFN units: take flops or latency")
        if budget.currency == "latency" and budget.target is None:
            faults.append("--budget latency is measured on a runtime: give --target")
        if budget.currency != "latency" and budget.target is not None:
            faults.append(f"--target {budget.target} is for --budget latency")
        if budget.searched and self.curve:
            faults.append(f"--curve {OFF_THE_LIST}")
        return faults

    def _idle(self) -> dict[str, str]:
        """Say of the options that play no part, by their names, what they are for."""
        removal, scoring, budget, found = self.removal, self.scoring, self.budget, dict[str, str]()
        if budget.units == "heads":
            found["multiple"] = f"--multiple {budget.multiple} is for --units heads,ffn"
        if budget.currency == "heads":
            found["length"] = f"--length {budget.length} is for --budget flops or latency"
        if budget.currency != "latency":
            found["batch"] = f"--batch {budget.batch} is for --budget latency"
        if budget.searched:
            found["order"] = f"--order {removal.order} {OFF_THE_LIST}"
            found["score"] = f"--score {scoring.score} {OFF_THE_LIST}"
        elif not self.removes:
            found["order"] = f"--order {removal.order} is for --remove or --max-drop"
        return found
