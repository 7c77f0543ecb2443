"""What flows through a model's matrix products on real text, without padding, batch by batch."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn

from bertslim.errors import CheckpointError, DataError
from bertslim.model.modeling import SlimBertModel, SlimBertPreTrainedModel
from bertslim.model.signature import INPUTS
from bertslim.train.batching import collate
from bertslim.train.encoding import Masking
from bertslim.train.precision import Precision, autocast
from bertslim.train.prediction import row_batches

See = Callable[[str, Tensor], None]
"""Is told the path of a linear layer and values of it, (tokens, width), none of them padding."""

PRODUCTS = ("query", "key", "value")
"""Linear layers whose outputs are multiplied with each other inside an attention."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a model is calibrated on, and how it runs over it.

    Attributes:
        encoded: Rows as `bertslim.train.encoding` makes them; labels are not looked at.
        batch_size: Rows at a time.
        masking: How words are masked, for a model that guesses them.
        precision: Of the model's own products.
    """

    encoded: Dataset
    batch_size: int
    masking: Masking | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if len(self.encoded) == 0:
            raise DataError(
                "there are no rows to calibrate on", "give a task or a text file that has some"
            )

    def batches(
        self, model: SlimBertPreTrainedModel, description: str
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the model's inputs, (batch, length) each, where the model is; show progress."""
        device = next(model.parameters()).device
        rows = row_batches(self.encoded, self.batch_size, self.masking, description)
        for batch in (collate(some, model.config.padding_id) for some in rows):
            named = {name: torch.from_numpy(batch[name]) for name in INPUTS if name in batch}
            yield {name: tensor.to(device) for name, tensor in named.items()}


def encoder_path(model: SlimBertPreTrainedModel) -> str:
    """Return where the encoder is in a model: nowhere below it if it has no head."""
    return "" if isinstance(model, SlimBertModel) else model.base_model_prefix


def linear_layers(model: SlimBertPreTrainedModel) -> dict[str, nn.Linear]:
    """Return the linear layers that int8 is for, by path: those that every token goes through.

    The pooler and the heads stay in float: they cost next to nothing, and what they lose nothing
    after them makes good (Bondarenko et al. 2021 keep them in 16 bits for STS-B). Layers without
    inputs or outputs multiply nothing.
    """
    return {
        path: module
        for path, module in model.encoder.named_modules(prefix=encoder_path(model))
        if isinstance(module, nn.Linear)
        and module.weight.numel()
        and module is not getattr(model.encoder, "pooler", None)
    }


@dataclass(slots=True)
class Watch:
    """What the hooks of linear layers share while a model runs."""

    see_input: See
    see_output: See
    leaders: dict[str, str] = field(default_factory=dict)
    """By path, the first linear layer with the same input."""
    real: Tensor | None = None
    """(batch, length), True for what is not padding in the batch under way; None without any."""
    last: tuple[str, Tensor | None] = ("", None)
    """The input seen last, and whose it is."""

    def entering(self, path: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        """Make the hook before a linear layer."""

        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            x, (leader, seen) = inputs[0], self.last
            if x is not seen:
                leader, self.last = path, (path, x)
                self.see_input(path, self.tokens(x))
            self.leaders[path] = leader

        return hook

    def leaving(self, path: str) -> Callable[[nn.Module, Any, Tensor], None]:
        """Make the hook after a linear layer."""
        return lambda _, __, y: self.see_output(path, self.tokens(y))

    def tokens(self, x: Tensor) -> Tensor:
        """Return the real ones of (batch, length, width); the first of a row always is."""
        all_real = self.real is None or x.shape[:2] != self.real.shape
        tokens = x.flatten(0, -2) if all_real else x[self.real]
        return smeared(tokens) if x.dtype == torch.bfloat16 else tokens


def smeared(x: Tensor) -> Tensor:
    """Put back what bf16 took, as noise of the same size in every channel: (tokens, width), fp32.

    The values of bf16 lie on a comb, 2^-8 of their size apart; a histogram's empty bins between
    its teeth would be taken for what is being measured.
    """
    noise = torch.rand(x.shape[1], generator=torch.Generator().manual_seed(0)) - 0.5
    return x.float().mul_((1 + noise * 2**-8).to(x.device))


def observe(
    model: SlimBertPreTrainedModel,
    rows: Rows,
    see_input: See,
    see_output: See | None = None,
    *,
    description: str = "calibrating",
) -> Mapping[str, str]:
    """Run the encoder over all rows and show what its linear layers compute with.

    Args:
        model: It is left as it is.
        rows: What it runs over.
        see_input: Is shown each input once, under the path of the first layer that takes it.
        see_output: Is shown what leaves the layers of `PRODUCTS`.
        description: What the progress bar says.

    Returns:
        By path of each linear layer, the path that its input was shown under.

    Raises:
        CheckpointError: If something that sees raises an OverflowError.
    """
    watch = Watch(explained(see_input), explained(see_output or (lambda _path, _values: None)))
    hooked = _hooked(model, watch, outputs=see_output is not None)
    # around all batches: autocast keeps the weights that it has cast
    cast = autocast(rows.precision, next(model.parameters()).device)
    with evaluating(model), hooked, cast:
        for batch in rows.batches(model, description):
            real = batch["attention_mask"].bool()
            watch.real, watch.last = None if real.all() else real, ("", None)
            model.encoder(**batch, first_token_only=model.first_token_only)
    return watch.leaders


def explained(see: See) -> See:
    """Return the same, but that a value which is no finite number is told as the model's fault."""

    def seeing(path: str, x: Tensor) -> None:
        try:
            see(path, x)
        except OverflowError as error:
            raise broken(path, str(error)) from error

    return seeing


def broken(path: str, what: str) -> CheckpointError:
    """Return the error of a model that computes what is not a finite number, and where it does."""
    return CheckpointError(
        f"the model breaks down on these rows: at {path} there are {what}",
        "its weights are damaged: bertslim evaluate shows how good it still is",
    )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model without dropout and gradients; it is then as it was."""
    mode = model.training
    model.train(mode=False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(mode)


@contextmanager
def _hooked(model: SlimBertPreTrainedModel, watch: Watch, *, outputs: bool) -> Iterator[None]:
    handles = []
    for path, layer in linear_layers(model).items():
        handles.append(layer.register_forward_pre_hook(watch.entering(path)))
        if outputs and path.rpartition(".")[2] in PRODUCTS:
            handles.append(layer.register_forward_hook(watch.leaving(path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
