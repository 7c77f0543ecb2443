from dataclasses import replace

import pytest

from bertslim.errors import SettingsError
from bertslim.methods.distill.cut import Cut, cut_config, cut_of
from bertslim.methods.distill.shape import Layers, StudentShape, parse_shape, shape_faults
from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("layers=3", StudentShape(Layers("spread", 3), None, None, None)),
        ("layers=first-3", StudentShape(Layers("first", 3), None, None, None)),
        ("layers=0,2,4", StudentShape((0, 2, 4), None, None, None)),
        ("hidden=192,ffn=768,heads=6", StudentShape(None, 192, 6, 768)),
        ("layers=0,1,hidden=8", StudentShape((0, 1), 8, None, None)),
    ],
)
def test_shapes_are_read(text: str, shape: StudentShape) -> None:
    assert shape_faults(text) == []
    assert parse_shape(text) == shape


@pytest.mark.parametrize(
    ("rule", "count", "depth", "layers"),
    [
        ("spread", 6, 12, (0, 2, 4, 7, 9, 11)),  # as DistilBERT was initialised
        ("spread", 4, 12, (0, 4, 7, 11)),
        ("spread", 1, 12, (0,)),
        ("spread", 12, 12, tuple(range(12))),
        ("skip", 6, 12, (1, 3, 5, 7, 9, 11)),
        ("skip", 4, 6, (1, 2, 3, 5)),
        ("first", 3, 12, (0, 1, 2)),
        ("last", 3, 12, (9, 10, 11)),
    ],
)
def test_layers_by_rule(rule: str, count: int, depth: int, layers: tuple[int, ...]) -> None:
    assert Layers(rule, count).of(depth) == layers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["nothing is none of"]),
        ("3", ["3 is none of"]),
        ("layers=", ["layers="]),
        ("layers=0", ["layers=0"]),
        ("layers=some-3", ["layers=some-3"]),
        ("layers=-3", ["layers=-3"]),
        ("layers=0,two", ["'two'"]),
        ("layers=2,2,1", ["in their order"]),
        ("layers=3,3", ["each of them once"]),
        ("hidden=1,2", ["hidden=1,2"]),
        ("hidden=192,hidden=96", ["hidden is given twice"]),
        ("width=8,ffn=-1,heads=x", ["width", "ffn=-1", "heads=x"]),
    ],
)
def test_all_faults_are_told_at_once(text: str, said: list[str]) -> None:
    faults = shape_faults(text)
    assert len(faults) == len(said)
    assert [words for words in said if not any(words in fault for fault in faults)] == []


def config(**changes: object) -> SlimBertConfig:
    plain: dict[str, object] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    return SlimBertConfig(**{**plain, **changes})


def test_what_is_not_said_follows_or_stays() -> None:
    every = (0, 1, 2, 3)
    assert cut_of(parse_shape("layers=2"), config()) == Cut((0, 3), 32, 4, 8, 64)
    assert cut_of(parse_shape("hidden=16"), config()) == Cut(every, 16, 2, 8, 64)
    assert cut_of(parse_shape("hidden=16,heads=4"), config()) == Cut(every, 16, 4, 4, 64)
    assert cut_of(parse_shape("hidden=4"), config()) == Cut(every, 4, 1, 4, 64)
    assert cut_of(parse_shape("hidden=32,heads=2"), config()) == Cut(every, 32, 2, 8, 64)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers=5,hidden=64,heads=5,ffn=65", ["layers=5", "hidden=64", "heads=5", "ffn=65"]),
        ("layers=0,4,7", ["no 4, 7 among 0 to 3"]),
        ("hidden=20", ["among heads=2 of 8 channels"]),
        ("hidden=24,heads=2", ["among heads=2"]),
    ],
)
def test_what_cannot_be_cut_is_explained(text: str, said: list[str]) -> None:
    with pytest.raises(SettingsError) as refusal:
        cut_of(parse_shape(text), config())
    assert [words for words in said if words not in str(refusal.value)] == []


def test_sizes_are_at_most_those_of_the_layers_that_stay() -> None:
    widths = list(layer_widths(config()))
    widths[3] = replace(widths[3], heads=1, intermediate_size=8)
    pruned = with_widths(config(), widths)
    cut = cut_of(parse_shape("layers=0,3,ffn=16,heads=2"), pruned)
    small = layer_widths(cut_config(pruned, cut))
    assert [(w.heads, w.intermediate_size) for w in small] == [(2, 16), (1, 8)]
    with pytest.raises(SettingsError, match="ffn=16: more than the 8 that there are"):
        cut_of(parse_shape("layers=last-1,ffn=16"), pruned)


def test_models_that_cannot_be_narrowed_are_refused() -> None:
    widths = layer_widths(config(num_key_value_heads=2))
    with pytest.raises(SettingsError, match="share keys"):
        cut_of(parse_shape("hidden=16,heads=4"), with_widths(config(), widths))
    with pytest.raises(SettingsError, match="as wide as the embeddings"):
        cut_of(parse_shape("hidden=16"), config(embedding_size=16))
