"""What `--student` means for a given model, and what cannot be cut out of it."""

from dataclasses import dataclass, replace

from bertslim.errors import SettingsError, fault_list
from bertslim.methods.distill.shape import Layers, StudentShape
from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths


@dataclass(frozen=True, slots=True)
class Cut:
    """A student's shape in numbers.

    Attributes:
        layers: Of the model, in their order.
        hidden: Channels of the hidden states.
        heads: Of each layer, at most.
        head_dim: Channels of each head.
        units: Of each feed-forward part, at most.
    """

    layers: tuple[int, ...]
    hidden: int
    heads: int
    head_dim: int
    units: int


def cut_of(shape: StudentShape, config: SlimBertConfig) -> Cut:
    """Work out what is cut out of a model.

    Raises:
        SettingsError: With everything that cannot be.
    """
    widths = layer_widths(config)
    hidden = shape.hidden or config.hidden_size
    narrower = hidden < config.hidden_size
    most = max((w.heads for w in widths), default=0)
    heads = shape.heads or (max(1, hidden // config.head_dim) if narrower else most)
    cut = Cut(
        layers=_layers(shape, config.num_hidden_layers),
        hidden=hidden,
        heads=heads,
        head_dim=hidden // heads if narrower else config.head_dim,
        units=shape.ffn or max((w.intermediate_size for w in widths), default=0),
    )
    faults = [*_layer_faults(shape, config.num_hidden_layers), *_size_faults(shape, config)]
    if narrower:
        faults += _width_faults(cut, config)
    if faults:
        raise SettingsError(
            fault_list("--student cannot be cut out of this model", faults),
            "bertslim inspect MODEL shows its shape",
        )
    return cut


def cut_config(config: SlimBertConfig, cut: Cut) -> SlimBertConfig:
    """Return what a model's configuration becomes."""
    old = layer_widths(config)
    kept = [old[number] for number in cut.layers]
    widths = [
        replace(
            w,
            heads=min(w.heads, cut.heads),
            intermediate_size=min(w.intermediate_size, cut.units),
        )
        for w in kept
    ]
    changed = with_widths(config, widths)
    changed.hidden_size, changed.head_dim = cut.hidden, cut.head_dim
    return changed


def _layers(shape: StudentShape, depth: int) -> tuple[int, ...]:
    if shape.layers is None:
        return tuple(range(depth))
    if not isinstance(shape.layers, Layers):
        return shape.layers
    # more than there are is a fault, and not to be counted out
    return replace(shape.layers, count=min(shape.layers.count, depth)).of(depth)


def _layer_faults(shape: StudentShape, depth: int) -> list[str]:
    if isinstance(shape.layers, Layers):
        count = shape.layers.count
        return [f"layers={count}: it has {depth}"] if count > depth else []
    wrong = [str(number) for number in shape.layers or () if number >= depth]
    return [f"layers: there is no {', '.join(wrong)} among 0 to {depth - 1}"] if wrong else []


def _size_faults(shape: StudentShape, config: SlimBertConfig) -> list[str]:
    """Say what is more than any of the layers that stay has."""
    widths = layer_widths(config)
    kept = [widths[n] for n in _layers(shape, len(widths)) if n < len(widths)]
    wishes = {
        "hidden": (shape.hidden, config.hidden_size),
        "heads": (shape.heads, max((w.heads for w in kept), default=0)),
        "ffn": (shape.ffn, max((w.intermediate_size for w in kept), default=0)),
    }
    return [
        f"{name}={wanted}: more than the {most} that there are"
        for name, (wanted, most) in wishes.items()
        if wanted is not None and wanted > most
    ]


def _width_faults(cut: Cut, config: SlimBertConfig) -> list[str]:
    """Say what stands in the way of a narrower hidden state."""
    faults = []
    if cut.heads * cut.head_dim != cut.hidden or cut.head_dim > config.head_dim:
        faults.append(
            f"hidden={cut.hidden} cannot be split among heads={cut.heads} of {config.head_dim} "
            "channels or fewer"
        )
    elif cut.head_dim < config.head_dim and any(
        w.heads != w.kv_heads for w in layer_widths(config)
    ):
        faults.append(f"heads={cut.heads}: heads that share keys and values cannot be thinner")
    if config.embedding_size == cut.hidden:
        faults.append(f"hidden={cut.hidden}: as wide as the embeddings, which a projection follows")
    return faults
