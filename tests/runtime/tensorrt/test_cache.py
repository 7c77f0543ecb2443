"""A kept engine is whole and the one that was asked for, or it is built again."""

from dataclasses import replace
from pathlib import Path

import pytest

from bertslim.errors import BertslimError
from bertslim.graph.emit import emit
from bertslim.runtime.tensorrt import cache
from bertslim.runtime.tensorrt.building import Built
from bertslim.runtime.tensorrt.cache import Identity, build_once, kept
from bertslim.runtime.tensorrt.flavours import RTX, load_flavour
from tests.runtime.tensorrt.worlds import FP16, SHAPE, TURING, builds, random_model

BUILT = Built(b"plan", "Layers:\nNone", 1.5, 10, None, ("slow",))
IDENTITY = Identity("digest", "tensorrt-rtx", "1.7.1", "75", (8, 128))


def never() -> Built:
    raise AssertionError("it was built again")


def test_what_was_built_is_found_again(tmp_path: Path) -> None:
    assert kept(tmp_path / "engines", IDENTITY, lambda: BUILT) == BUILT
    assert kept(tmp_path / "engines", IDENTITY, never) == BUILT
    key = IDENTITY.key
    assert {file.name for file in (tmp_path / "engines").iterdir()} == {
        f"{key}.engine",
        f"{key}.json",
    }
    assert (tmp_path / "engines" / f"{key}.engine").read_bytes() == b"plan"


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, graph="another"),
        replace(IDENTITY, runtime="tensorrt"),
        replace(IDENTITY, version="1.8.0"),
        replace(IDENTITY, sm="86"),
        replace(IDENTITY, shape=(8, 64)),
        replace(IDENTITY, format=cache.FORMAT + 1),
    ],
)
def test_all_that_an_engine_depends_on_makes_another_key(tmp_path: Path, other: Identity) -> None:
    cache.write(tmp_path, IDENTITY, BUILT)
    assert cache.read(tmp_path, other) is None
    assert cache.read(tmp_path, IDENTITY) == BUILT


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"plan_sha256": "0", "built": {}}'])
def test_a_description_that_is_broken_or_missing(tmp_path: Path, content: str | None) -> None:
    cache.write(tmp_path, IDENTITY, BUILT)
    facts = tmp_path / f"{IDENTITY.key}.json"
    facts.unlink() if content is None else facts.write_text(content)
    assert cache.read(tmp_path, IDENTITY) is None
    assert kept(tmp_path, IDENTITY, lambda: BUILT) == kept(tmp_path, IDENTITY, never) == BUILT


def test_a_plan_that_was_cut_off_or_replaced(tmp_path: Path) -> None:
    cache.write(tmp_path, IDENTITY, BUILT)
    (tmp_path / f"{IDENTITY.key}.engine").write_bytes(b"pla")
    assert cache.read(tmp_path, IDENTITY) is None


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> Built:
        raise BertslimError("refused")

    with pytest.raises(BertslimError, match="refused"):
        kept(tmp_path, IDENTITY, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BertslimError, match="file is in the way"):
        kept(tmp_path / "file", IDENTITY, lambda: BUILT)


@builds
def test_a_real_engine_is_built_once(tmp_path: Path) -> None:
    flavour = load_flavour(RTX)
    graph = emit(random_model(num_hidden_layers=1), FP16).SerializeToString()
    first = build_once(tmp_path, flavour, graph, SHAPE, TURING)
    again = build_once(tmp_path, flavour, graph, SHAPE, TURING)
    assert again == first
    assert again.layers == first.layers
    build_once(tmp_path, flavour, graph, SHAPE, "86")
    assert len(list(tmp_path.iterdir())) == 4
    assert build_once(None, flavour, graph, SHAPE, TURING).layers == first.layers
