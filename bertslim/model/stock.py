"""The way in from a stock checkpoint and back: settings and tensors by their family's names."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig
from transformers.activations import ACT2FN

from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths
from bertslim.model.families import FAMILIES
from bertslim.model.families.family import ENCODER, WORDS, Family

BUFFERS = (".position_ids", ".token_type_ids")
"""Constants that older versions of transformers saved among the weights."""
LABELS = ("id2label", "label2id", "problem_type")
BASE = "SlimBert"
"""What our class names start with."""


def head_of(config: Mapping[str, Any], family: Family | None) -> str | None:
    """End of the stored model's class name, such as `ForMaskedLM`; None if there is no such class.

    Without a family the class is one of ours. A configuration that names no class has no head.
    """
    architectures = config.get("architectures") or [f"{family.classes if family else BASE}Model"]
    name: str = architectures[0].removeprefix(family.classes if family else BASE)
    if family is None:
        return name
    name = family.aliases.get(name, name)
    return name if name in family.heads else None


def stock_config(raw: Mapping[str, Any], family: Family) -> PreTrainedConfig:
    """The family's own configuration, its defaults filled in.

    Raises:
        ValueError: If transformers refuses a value.
    """
    settings = {key: value for key, value in raw.items() if key != "model_type"}
    try:
        return AutoConfig.for_model(family.model_type, **settings)
    except StrictDataclassError as error:
        raise ValueError(str(error)) from error


def setting_faults(raw: Mapping[str, Any], theirs: PreTrainedConfig, family: Family) -> list[str]:
    """What a stock configuration asks for that cannot be had here."""
    hidden, heads, layers, activation = (
        getattr(theirs, family.all_settings()[name])
        for name in ("hidden_size", "num_attention_heads", "num_hidden_layers", "hidden_act")
    )
    positions = raw.get("position_embedding_type")
    faults = []
    if head_of(raw, family) is None:
        known = ", ".join(f"{family.classes}{head}" for head in family.heads)
        faults.append(f"{raw['architectures'][0]} has a head of another kind (known: {known})")
    if raw.get("is_decoder") or raw.get("add_cross_attention"):
        faults.append("it is a decoder, and only encoders are handled")
    if positions not in (None, "absolute"):
        faults.append(f'position_embedding_type "{positions}" is not "absolute"')
    if activation not in ACT2FN:
        faults.append(f'the activation "{activation}" is unknown')
    if heads < 1 or hidden % heads:
        faults.append(f"{hidden} hidden units cannot be split among {heads} heads")
    if family.counts_padding_out and theirs.pad_token_id is None:
        faults.append(f"pad_token_id is null, and {family.model_type} counts positions from it")
    if any(int(layer) >= layers for layer in raw.get("pruned_heads") or {}):
        faults.append(f"pruned_heads names layers beyond the {layers} that there are")
    return faults


def read_settings(
    raw: Mapping[str, Any], theirs: PreTrainedConfig, family: Family, head: str
) -> SlimBertConfig:
    """Translate a stock configuration; heads pruned by transformers 4 count as removed."""
    settings = {name: getattr(theirs, other) for name, other in family.all_settings().items()}
    settings |= dict(family.fixed) | {name: getattr(theirs, name) for name in LABELS}
    config = SlimBertConfig(
        family=family.model_type,
        position_offset=theirs.pad_token_id + 1 if family.counts_padding_out else 0,
        pooler_activation=family.poolers.get(head),
        architectures=[BASE + head],
        tokenizer_class=raw.get("tokenizer_class") or family.tokenizer,
        stock={key: value for key, value in raw.items() if key != "pruned_heads"},
        **settings,
    )
    return _without_pruned_heads(config, raw.get("pruned_heads") or {})


def _without_pruned_heads(config: SlimBertConfig, pruned: Mapping[str, Any]) -> SlimBertConfig:
    widths = list(layer_widths(config))
    for layer, heads in pruned.items():
        left = widths[int(layer)].heads - len(set(heads))
        widths[int(layer)] = replace(widths[int(layer)], heads=left, kv_heads=left)
    return with_widths(config, widths) if pruned else config


def read_as(config: SlimBertConfig) -> SlimBertConfig:
    """Return the configuration of the stock model that this one was made from, heads included.

    A model that was written as a stock one in between starts anew there; one that never was has
    itself to compare with.
    """
    if not config.stock:
        return config
    family = FAMILIES[config.family]
    head = head_of(config.stock, family) or ENCODER
    return read_settings(config.stock, stock_config(config.stock, family), family, head)


def stock_settings(config: SlimBertConfig, head: str) -> dict[str, Any]:
    """Translate back; a setting that we do not know stays what it was when it was read."""
    family = FAMILIES[config.family]
    named = with_widths(config, layer_widths(config)).to_dict()
    ours = ("torch_dtype", "num_labels", "_num_labels", *LABELS)
    settings = {name: value for name, value in (config.stock or {}).items() if name not in ours}
    settings |= {name: named[name] for name in LABELS if named.get(name) is not None}
    settings |= {theirs: named[name] for name, theirs in family.all_settings().items()}
    settings |= {
        "model_type": family.model_type,
        "architectures": [family.classes + head],
        "dtype": "float32",
    }
    if head == WORDS:
        # the decoder is not written, and must not be made up by whoever opens the model
        settings["tie_word_embeddings"] = True
    return settings


def normalised(tensors: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """Stock tensors by their present names: always prefixed, without constants and leftovers."""
    roots = {"pooler"} | {name.split(".")[0] for name in family.encoder.values()}
    result = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        kind = {"gamma": "weight", "beta": "bias"}.get(kind, kind)
        complete = f"{module}.{kind}" if module else kind
        if complete.split(".")[0] in roots:
            complete = f"{family.prefix}.{complete}"
        if not complete.endswith(BUFFERS) and not complete.startswith(family.ignored or ("\0",)):
            result[complete] = tensor
    return result


def untied(tensors: Mapping[str, Tensor], family: Family) -> list[str]:
    """Tensors of a decoder that should repeat another and do not."""
    return [
        f"{name} differs from {original}, and only tied ones (tie_word_embeddings) are handled"
        for name, original in family.tied.items()
        if name in tensors and original in tensors and not tensors[name].equal(tensors[original])
    ]


def read_tensors(
    tensors: Mapping[str, Tensor], family: Family, head: str, names: Iterable[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Find the tensors that we call `names`, and name those that nobody asked for.

    Args:
        tensors: Normalised stock tensors.
        family: The family that named them.
        head: The stored model's head.
        names: Our complete names. A pooler that this head has no use for is found all the same.
    """
    twins = {original: name for name, original in family.tied.items()}
    sources = {name: family.stock_name(name, head) for name in names}
    if pooler := family.heads[ENCODER].get("bert.pooler"):
        for kind in ("weight", "bias"):
            sources.setdefault(f"bert.pooler.{kind}", f"{pooler}.{kind}")
    for name, theirs in sources.items():
        if theirs not in tensors and twins.get(theirs) in tensors:
            sources[name] = twins[theirs]
    found = {name: tensors[theirs] for name, theirs in sources.items() if theirs in tensors}
    idle = {f"{pooler}.weight", f"{pooler}.bias"}
    return found, sorted(tensors.keys() - sources.values() - family.tied.keys() - idle)


def stock_tensors(tensors: Mapping[str, Tensor], family: Family, head: str) -> dict[str, Tensor]:
    """Our tensors, with complete names, by the names that transformers itself would save."""
    named = {family.stock_name(name, head): tensor for name, tensor in tensors.items()}
    if head == ENCODER:
        return {name.removeprefix(f"{family.prefix}."): t for name, t in named.items()}
    return named
