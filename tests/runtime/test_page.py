"""One page that needs nothing else, whatever its checkpoints are called."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bertslim.runtime.breakdown import Breakdown
from bertslim.runtime.page import comparison_page
from bertslim.runtime.rows import Comparison
from bertslim.runtime.shape import Shape
from tests.runtime.fakes import comparison, row

VOID = {"meta", "br", "hr", "link", "img", "input"}
EVIL = "out/<script>alert(1)</script>&\"'"


class Outline(HTMLParser):
    """Notes elements, texts and identifiers, and that whatever is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("src", "href", "xlink:href", "action"):
                self.references.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def drawn() -> Comparison:
    """Two shapes, three checkpoints, with all pictures."""
    rows = [
        row(name, [ms * shape.batch_size] * 3, precision=precision, accuracy=accuracy, shape=shape)
        for shape in (Shape(1, 128), Shape(8, 128))
        for name, precision, ms, accuracy in (
            ("models/big", "fp32", 10.0, 0.93),
            (EVIL, "bf16", 5.0, 0.92),
            ("out/small", "int8", 2.0, 0.91),
        )
    ]
    rows.append(row("out/small", runtime="tensorrt", shape=Shape(8, 128), reason="<no> device"))
    times = {"GEMM": 5.0, "attention": 2.0, "norm": 0.5, "other": 0.5}
    parts = tuple(
        Breakdown(name, "openvino", "fp32", Shape(8, 128), times) for name in ("models/big", EVIL)
    )
    return replace(comparison(*rows), breakdowns=parts)


@pytest.fixture(scope="module")
def page(drawn: Comparison) -> str:
    return comparison_page(drawn)


def test_it_is_well_formed_and_needs_nothing_else(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(outline.tags)
    assert [r for r in outline.references if not r.startswith("#")] == []
    assert not re.search(r"@import|url\((?!#)", page)


def test_parts_of_one_picture_are_not_those_of_another(page: str) -> None:
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids)) > 0
    used = {r[1:] for r in outline.references} | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(outline.ids)


def test_names_are_shown_and_not_obeyed(page: str) -> None:
    outline = Outline(page)
    assert outline.of("b") == ["models/big", EVIL, "out/small"] * 2
    assert "not timed: <no> device" in outline.of("div")


def test_every_table_has_all_columns_and_each_is_explained(page: str) -> None:
    outline = Outline(page)
    titles = ["accuracy", "95 % CI", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "CV", "seq/s"]
    titles += ["ratio", "10-90 %", "max diff", "load s"]
    engines = ["torch fp32", "torch bf16", "torch int8"]
    table = ["engine", *titles, *engines]
    assert outline.of("th") == [*table, *table, "tensorrt fp32"]
    assert outline.of("dt") == titles


def test_pictures_are_those_that_there_are_numbers_for(drawn: Comparison, page: str) -> None:
    assert Outline(page).of("figcaption") == [
        "Colours and markers",
        "Accuracy against latency, batch 1 x 128 tokens",
        "Accuracy against latency, batch 8 x 128 tokens",
        "Latency by batch size, length 128",
        "Where the time goes, batch 8 x 128 tokens",
    ]
    plain = replace(drawn, breakdowns=(), rows=tuple(r for r in drawn.rows if not r.accuracy))
    assert Outline(comparison_page(plain)).of("figcaption") == []
    unscored = replace(
        drawn, breakdowns=(), rows=tuple(replace(r, accuracy=None) for r in drawn.rows)
    )
    captions = ["Colours and markers", "Latency by batch size, length 128"]
    assert Outline(comparison_page(unscored)).of("figcaption") == captions


def test_colours_follow_the_page_by_night(page: str) -> None:
    pictures = page[page.index("<svg") :]
    assert "prefers-color-scheme: dark" in page
    assert "var(--ink)" in pictures
    assert not re.search(r"(?i)#344054|#667085|#ffffff|#eaecf0", pictures)


def test_text_in_pictures_is_text(page: str) -> None:
    texts = Outline(page).of("text")
    assert {"big", "torch bf16", "torch int8", "median latency of a batch, ms"} <= set(texts)


def test_a_name_that_is_too_long_keeps_its_end(drawn: Comparison) -> None:
    long = "out/" + "very-" * 12 + "long"
    part = replace(drawn.breakdowns[0], checkpoint=long)
    texts = Outline(comparison_page(replace(drawn, breakdowns=(part,)))).of("text")
    (label,) = [text for text in texts if text.endswith("openvino fp32")]
    assert (len(label), label[0], label[-19:]) == (36, "…", "long, openvino fp32")


def test_many_checkpoints_do_not_fill_the_title() -> None:
    rows = [row(f"m/{letter}", [1.0]) for letter in "abcde"]
    assert Outline(comparison_page(comparison(*rows))).of("h1") == ["Bench: a, b, c and 2 more"]
