from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bertslim.errors import SettingsError
from bertslim.methods.theseus.importance import unit_importance
from bertslim.methods.theseus.successors import KINDS
from bertslim.methods.theseus.successors.successor import Successor
from bertslim.methods.theseus.theseus import successor_of
from bertslim.model.configuration import SlimBertConfig, layer_widths, with_widths
from bertslim.model.modeling import Gates, SlimBertPreTrainedModel
from bertslim.train.batching import collate
from bertslim.train.encoding import mask_by_number
from bertslim.train.examples import Examples
from bertslim.train.task import load_task
from tests.methods.theseus.worlds import examples, predecessor, wishes
from tests.model.zoo import run, same
from tests.train.tasks import conll_task, lines_task

World = tuple[SlimBertPreTrainedModel, Examples]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sentence_task: Path) -> World:
    model = predecessor(tmp_path_factory.mktemp("world") / "m")
    return model, examples(load_task(sentence_task), model)


def made(world: World, successor: str, **changes: object) -> Successor:
    model, rows = world
    return successor_of(model, wishes(successor, **changes), rows)


def ids() -> torch.Tensor:
    return torch.randint(5, 30, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("grouping", "replaces"),
    [
        ("1/2", ((0, 1), (2, 3))),
        ("1/4", ((0, 1, 2, 3),)),
        ("2+1+1", ((0, 1), (2,), (3,))),
        ("1+3", ((0,), (1, 2, 3))),
    ],
)
def test_layers_stand_for_groups(
    world: World, grouping: str, replaces: tuple[tuple[int, ...], ...]
) -> None:
    found = made(world, f"layers={grouping}")
    assert found.replaces == replaces
    assert len(found.model.encoder.layers) == len(replaces)


@pytest.mark.parametrize(
    ("initialise", "layers"), [("first", [0, 1, 2]), ("last", [1, 2, 3]), ("spread", [0, 2, 3])]
)
def test_layers_begin_as_copies(world: World, initialise: str, layers: list[int]) -> None:
    found = made(world, "layers=2+1+1", initialise=initialise)
    for new, old in zip(found.model.encoder.layers, layers, strict=True):
        theirs = world[0].encoder.layers[old].ffn.output.weight
        assert torch.equal(new.ffn.output.weight, theirs)
        assert new.ffn.output.weight.data_ptr() != theirs.data_ptr()


def test_a_window_keeps_the_weights_and_hides_what_is_far(world: World) -> None:
    model, _ = world
    found = made(world, "window=4")
    assert found.replaces == ((0,), (1,), (2,), (3,))
    assert {layer.window for layer in layer_widths(found.model.config)} == {4}
    assert all(torch.equal(model.state_dict()[n], t) for n, t in found.model.state_dict().items())
    short, long = ids()[:, :3], ids()
    assert same(run(found.model, input_ids=short).logits, run(model, input_ids=short).logits)
    assert not same(run(found.model, input_ids=long).logits, run(model, input_ids=long).logits)


def test_some_layers_attend_to_all(world: World) -> None:
    found = made(world, "window=4+full+6+full")
    assert [layer.window for layer in layer_widths(found.model.config)] == [4, None, 6, None]
    last_sees = made(world, "window=full+full+full+4")
    logits = run(last_sees.model, input_ids=ids()).logits
    # a head that reads the first token alone cannot tell: it sees all
    assert same(logits, run(world[0], input_ids=ids()).logits)


@pytest.mark.parametrize("sharing", ["index", "similar", "fitted"])
def test_heads_share_in_three_ways(world: World, sharing: str) -> None:
    found = made(world, "kv-heads=2", sharing=sharing)
    assert {(w.heads, w.kv_heads) for w in layer_widths(found.model.config)} == {(4, 2)}
    assert found.model.encoder.layers[0].attention.key.weight.shape == (16, 32)


def importance_by_the_book(world: World) -> list[torch.Tensor]:
    """I_u = E_x | dL(x) / d xi_u |, one example after another."""
    model, rows = world
    totals = [torch.zeros(64).double() for _ in model.encoder.layers]
    for row in rows.encoded:
        masked = row if rows.masking is None else mask_by_number(row, rows.masking)
        batch = {n: torch.from_numpy(a) for n, a in collate([masked], 0).items()}
        gates = [torch.ones(64, requires_grad=True) for _ in totals]
        loss = model(**batch, gates=Gates(ffn=gates)).loss
        if not loss.isnan():
            loss = loss * (batch["labels"] != -100).sum()
            for total, gradient in zip(totals, torch.autograd.grad(loss, gates), strict=True):
                total += gradient.abs()
    return totals


def test_importance_of_ffn_units(world: World, tmp_path: Path) -> None:
    lines = lines_task(tmp_path / "words", "a the film was good\nit is very\nbob\n一 一\nend\n")
    tags = conll_task(tmp_path / "tags")
    labels = {0: "O", 1: "B-PER", 2: "B-LOC", 3: "I-PER"}
    guesser = predecessor(tmp_path / "guesser", "masked-lm")
    tagger = predecessor(tmp_path / "tagger", "token-classification", id2label=labels)
    for here in (world, (guesser, examples(lines, guesser)), (tagger, examples(tags, tagger))):
        for found, expected in zip(
            unit_importance(*here), importance_by_the_book(here), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_silent_units_go_first(world: World) -> None:
    whole, rows = world
    model = deepcopy(whole)
    with torch.no_grad():
        for number, layer in enumerate(model.encoder.layers):
            layer.ffn.output.weight[:, number::4] = 0
    narrow = successor_of(model, wishes("ffn=48"), rows).model
    assert {layer.intermediate_size for layer in layer_widths(narrow.config)} == {48}
    assert same(run(narrow, input_ids=ids()).logits, run(model, input_ids=ids()).logits, 1e-5)


def test_kinds_combine(world: World) -> None:
    found = made(world, "window=6, layers=2+1+1,ffn=16,kv-heads=1")
    widths = layer_widths(found.model.config)
    assert [(w.heads, w.kv_heads, w.window, w.intermediate_size) for w in widths] == [
        (4, 1, 6, 16)
    ] * 3
    assert found.replaces == ((0, 1), (2,), (3,))
    # units are scored in the whole predecessor, which the order of the words does not change
    again = made(world, "ffn=16,kv-heads=1,layers=2+1+1,window=6").model.state_dict()
    assert all(torch.equal(again[name], t) for name, t in found.model.state_dict().items())


def faults_of(**changes: object) -> list[str]:
    with pytest.raises(SettingsError) as error:
        wishes(**changes)
    return [line.removeprefix("  - ") for line in str(error.value).splitlines()][1:]


def test_whatever_cannot_be_read_is_told_at_once() -> None:
    wrong = "layers=2/3,kv-heads=0,window=-4,ffn=many,heads=3,window=8"
    found = faults_of(successor=wrong, rate=1.5, full_at="half", distill=2.0, finetune_epochs=-1)
    assert found == [
        "--successor: window is given twice",
        "--successor: heads is unknown; it knows ffn, kv-heads, window, layers",
        "--successor: layers=2/3 is neither a share such as 1/2 nor a sum of groups such as "
        "2+2+1+1",
        "--successor: kv-heads=0 is not a whole number from 1",
        "--successor: window=-4 is not a whole number from 1",
        "--successor: ffn=many is not a whole number from 1",
        "--rate 1.5 must lie above 0 and not above 1",
        "--full-at half is neither a step such as 500 nor a fraction such as 0.8",
        "--finetune-epochs must not be negative",
        "--distill 2 must lie between 0 and 1",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"successor": " , "}, "it asks for nothing"),
        ({"successor": "layers"}, "layers= is neither a share"),
        ({"successor": "layers=0+4"}, "layers=0+4 is neither a share"),
        ({"successor": "layers=1/0"}, "layers=1/0 is neither a share"),
        ({"successor": "window=0"}, "window=0 is not a whole number from 1"),
        ({"successor": "window=64+all"}, "window=all is not a whole number from 1"),
        ({"successor": "window=full+full"}, "window=full+full asks for no window"),
        ({"successor": "kv-heads=²"}, "is not a whole number from 1"),
        ({"rate": 0.0}, "--rate 0 must lie above 0"),
        ({"rate": float("nan")}, "--rate nan must lie above 0"),
        ({"full_at": "0"}, "--full-at 0 is neither"),
        ({"full_at": "1.5"}, "--full-at 1.5 is neither"),
        ({"full_at": "-3"}, "--full-at -3 is neither"),
        (
            {"full_at": "1"},
            "--full-at 1 is the first step, where no line can end: all steps are 1.0",
        ),
        ({"unfreeze": True, "finetune_epochs": 0}, "raise --finetune-epochs"),
    ],
)
def test_a_single_fault_is_one_line(changes: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("+", r"\+")) as error:
        wishes(**changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("full_at", "step"), [("500", 500), ("2", 2), ("1.0", 80), ("0.5", 40), (".25", 20)]
)
def test_where_the_line_ends(full_at: str, step: int) -> None:
    assert wishes(full_at=full_at).schedule_over(80).full_at == step


@pytest.mark.parametrize(
    ("successor", "said"),
    [
        ("layers=1/3", "layers=1/3 does not divide 4 layers"),
        ("layers=2+1", "layers=2+1 covers 3 layers, and there are 4"),
        (
            "kv-heads=3",
            "kv-heads=3 does not divide the 4 key/value heads of layers 0, 1, 2, 3",
        ),
        ("kv-heads=8", "kv-heads=8 does not divide the 4 key/value heads of layers 0, 1, 2, 3"),
        ("window=200", "window=200 hides nothing in a model of 64 positions"),
        ("window=4+full", "window=4+full covers 2 layers, and there are 4"),
        ("ffn=65", "ffn=65 is more than the 64 units of layers 0, 1, 2, 3"),
        ("layers=1/1", "layers in groups of one are the predecessor's own: make a group larger"),
        ("layers=1+1", "layers in groups of one are the predecessor's own: make a group larger"),
        ("kv-heads=4", "kv-heads=4 is what every layer has: ask for fewer"),
        ("ffn=64", "ffn=64 is what every layer has: ask for fewer"),
    ],
)
def test_what_a_model_does_not_allow(world: World, successor: str, said: str) -> None:
    (kind,) = wishes(successor).kinds
    assert kind.faults(world[0].config) == [said]


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("5", "the windows are those that every layer has: ask for narrower ones"),
        ("6", "layers 0, 1, 2, 3 would see farther than in the predecessor"),
        ("2+4+full+2", "layer 2 would see farther than in the predecessor"),
    ],
)
def test_windows_become_narrower_alone(world: World, window: str, said: str) -> None:
    local = made(world, "window=4").model.config
    (kind,) = wishes(f"window={window}").kinds
    assert kind.faults(local) == [said]
    (narrower,) = wishes("window=4+2+2+4").kinds
    assert narrower.faults(local) == []


@pytest.mark.parametrize(
    ("successor", "said"),
    [
        ("window=8", ["layer 1 would see farther than in the predecessor"]),
        ("window=4", []),
        ("ffn=48", ["ffn=48 is more than the 32 units of layers 1, 3"]),
        (
            "ffn=65",
            [
                "ffn=65 is more than the 32 units of layers 1, 3",
                "ffn=65 is more than the 64 units of layers 0, 2",
            ],
        ),
        ("kv-heads=2", ["kv-heads=2 does not divide the 1 key/value heads of layer 1"]),
        ("kv-heads=1", []),
    ],
)
def test_what_a_slim_model_does_not_allow(world: World, successor: str, said: list[str]) -> None:
    (kind,) = wishes(successor).kinds
    assert kind.faults(slim(world[0].config)) == said


def slim(config: SlimBertConfig) -> SlimBertConfig:
    """Layers of all sorts: one without heads, one with a window and one key, two narrow ones."""
    first, second, third, fourth = layer_widths(config)
    return with_widths(
        config,
        [
            first,
            replace(second, kv_heads=1, window=4, intermediate_size=32),
            replace(third, heads=0, kv_heads=0),
            replace(fourth, intermediate_size=32),
        ],
    )


def test_a_layer_without_heads_has_nothing_to_share(world: World) -> None:
    widths = [replace(layer, kv_heads=2) for layer in layer_widths(world[0].config)]
    widths[1] = replace(widths[1], heads=0, kv_heads=0)
    (kind,) = wishes("kv-heads=2").kinds
    said = ["kv-heads=2 is what every layer has: ask for fewer"]
    assert kind.faults(with_widths(world[0].config, widths)) == said


def test_there_is_a_file_for_each_kind() -> None:
    import bertslim.methods.theseus.successors as package

    files = {path.stem for path in Path(package.__path__[0]).glob("*.py")}
    assert files == {"__init__", "successor", *(name.replace("-", "_") for name in KINDS)}
