"""The shape of a model, as `inspect` tells and draws it: layers of a transformer, or of LSTMs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertslim.model.configuration import SlimBertConfig
    from bertslim.model.lstm.configuration import SlimLstmConfig
    from bertslim.model.slim import SlimConfig

FFN_BAR = 24
"""Characters of the bar of a layer with all its units."""


@dataclass(frozen=True, slots=True)
class Full:
    """What a model had before anything was cut."""

    heads: int
    units: int
    hidden_size: int


def shape_of(config: "SlimConfig") -> dict[str, Any]:
    """Collect what there is to say about a model's shape, JSON-able."""
    from bertslim.model.lstm.configuration import SlimLstmConfig

    return _recurrent(config) if isinstance(config, SlimLstmConfig) else _transformer(config)


def picture_of(found: Mapping[str, Any]) -> Iterator[str]:
    """Draw the layers in text."""
    return _draw_recurrent(found) if found["family"] == "lstm" else _draw_transformer(found)


def reach_of(found: Mapping[str, Any]) -> str:
    """Tell in a line what it reads, and how wide its states are."""
    if found["family"] == "lstm":
        texts = "pairs, each text apart; " if found["pairs"] else ""
        return f"{texts}any number of tokens; states of {2 * found['hidden_size']} channels"
    return f"{found['positions']}; hidden size {_hidden(found)}"


def _transformer(config: "SlimBertConfig") -> dict[str, Any]:
    from bertslim.model.configuration import layer_widths

    return {
        "family": config.family,
        "hidden_size": config.hidden_size,
        "vocab_size": config.vocab_size,
        "positions": config.positions,
        "full": asdict(_full(config)),
        "layers": [asdict(widths) for widths in layer_widths(config)],
    }


def _recurrent(config: "SlimLstmConfig") -> dict[str, Any]:
    return {
        "family": "lstm",
        "hidden_size": config.hidden_size,
        "vocab_size": config.vocab_size,
        "positions": config.positions,
        "embedding_size": config.embedding_size,
        "character_filters": config.character_filters if config.characters else 0,
        "pooling": config.pooling,
        "pairs": config.pairs,
        "head_size": config.head_size,
        "crf": config.crf,
        "layers": [{"inputs": n, "hidden_size": config.hidden_size} for n in config.layer_inputs],
    }


def _full(config: "SlimBertConfig") -> Full:
    """Return what the stock model had that this one was made from, or this one if that is more."""
    from bertslim.model.configuration import layer_widths
    from bertslim.model.stock import read_as

    both = (config, read_as(config))
    widths = [layer for one in both for layer in layer_widths(one)]
    return Full(
        heads=max((layer.heads for layer in widths), default=0),
        units=max((layer.intermediate_size for layer in widths), default=0),
        hidden_size=max(one.hidden_size for one in both),
    )


def _hidden(found: Mapping[str, Any]) -> str:
    """Name the hidden size, and what it was where that was more."""
    size, full = found["hidden_size"], found["full"]["hidden_size"]
    return str(size) if size == full else f"{size} of {full}"


def _draw_transformer(found: Mapping[str, Any]) -> Iterator[str]:
    heads, widest = found["full"]["heads"] or 1, found["full"]["units"] or 1
    yield f"layer  {'heads':<{heads + 8}} FFN"
    for number, layer in enumerate(found["layers"]):
        there, ffn = layer["heads"], layer["intermediate_size"]
        row = f"{'■' * there}{'·' * (heads - there)} {there:>2}/{heads:<2}"
        filled = round(FFN_BAR * ffn / widest)
        bar = f"{'■' * filled}{'·' * (FFN_BAR - filled)} {ffn:>5}/{widest}"
        yield f"{number:>5}  {row:<{heads + 8}} {bar}{_extras(layer)}".rstrip()


def _extras(layer: Mapping[str, Any]) -> str:
    shared = f"  {layer['kv_heads']} K/V" if layer["kv_heads"] != layer["heads"] else ""
    return shared + (f"  window {layer['window']}" if layer["window"] else "")


def _draw_recurrent(found: Mapping[str, Any]) -> Iterator[str]:
    letters = found["character_filters"]
    spelt = f" and {letters} of their letters" if letters else ""
    yield f"words  {found['embedding_size']} channels{spelt}"
    for number, layer in enumerate(found["layers"]):
        yield f"{number:>5}  {layer['inputs']} -> 2 x {layer['hidden_size']}, both directions"
    if found["kind"] in ("text-classification", "text-regression"):
        yield f"text   {found['pooling']}"
    if found["head_size"] and found["kind"]:
        yield f"head   {found['head_size']} units"
    if found["crf"] and found["kind"] == "token-classification":
        yield "tags   chosen together, by a CRF"
