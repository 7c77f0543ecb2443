"""`bertslim inspect`."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bertslim.commands.options import Model, ReportOptions, command
from bertslim.commands.shapes import picture_of, reach_of, shape_of
from bertslim.commands.step import read_source
from bertslim.console import reserved_stdout
from bertslim.store.checkpoint import Checkpoint, open_checkpoint
from bertslim.store.deployment import GRAPH, read_deployment
from bertslim.store.provenance import lineage_of


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    command(
        app,
        "inspect",
        examples="""
        bertslim inspect models/sst2-heads40
        bertslim inspect models/sst2 --length 32 --length 384
        bertslim prune-heads models/sst2 --task sst2.toml --remove 0.4 | bertslim inspect -
        """,
    )(inspect)


def inspect(
    model: Model,
    length: Annotated[
        list[int] | None,
        typer.Option(
            "--length",
            min=1,
            help="Sequence length to count FLOPs for; may be repeated.",
            show_default="128",
        ),
    ] = None,
    *,
    report: ReportOptions,
) -> None:
    """Show a checkpoint's layers, size, FLOPs and lineage.

    FLOPs count the multiplications and additions of all matrix products that one sequence takes.
    All weights are read and checked on the way.
    """
    checkpoint = open_checkpoint(read_source(model))
    with reserved_stdout():
        found = describe(checkpoint, length or [128])
    typer.echo(json.dumps(found) if report.json else "\n".join(picture(found)))


def describe(checkpoint: Checkpoint, lengths: list[int]) -> dict[str, Any]:
    """Collect everything there is to say about a checkpoint, JSON-able."""
    from bertslim.model.kinds import head_kind
    from bertslim.model.opening import open_model
    from bertslim.model.shapes import flops, parameter_counts
    from bertslim.train.examples import LABELLED, model_labels

    model = open_model(checkpoint)
    config, counts, kind = model.config, parameter_counts(model), head_kind(model)
    return {
        "path": str(checkpoint.path),
        "model_type": checkpoint.config["model_type"],
        "kind": kind,
        "labels": list(model_labels(model)) if kind in LABELLED else [],
        "tasks": list(checkpoint.tasks),
        **shape_of(config),
        "parameters": {
            "embedding": counts.embedding,
            "layers": list(counts.layers),
            "head": counts.head,
            "total": counts.total,
        },
        "flops": {str(n): flops(config, n) for n in lengths},
        "bytes": checkpoint.size_in_bytes(),
        "graph": _graph(checkpoint.path),
        "lineage": [_ancestor(step) for step in lineage_of(checkpoint.path)],
    }


def picture(found: Mapping[str, Any]) -> Iterator[str]:
    """Draw a checkpoint in text, at most 80 columns wide."""
    kind = found["kind"] or "no task head"
    labels = f" ({', '.join(found['labels'])})" if 0 < len(found["labels"]) <= 8 else ""
    stock = found["family"] in (found["model_type"], "lstm")
    kept = "" if stock else f", {found['family']} inside"
    yield f"{found['path']}"
    yield f"{found['model_type']}{kept}; {kind}{labels}"
    yield ""
    yield from picture_of(found)
    yield ""
    parameters = found["parameters"]
    encoder = sum(parameters["layers"])
    yield (
        f"parameters   {_millions(parameters['total'])}: embedding "
        f"{_millions(parameters['embedding'])}, encoder {_millions(encoder)}, "
        f"head {_millions(parameters['head'])}"
    )
    for length, count in found["flops"].items():
        yield f"FLOPs        {count / 1e9:.2f} G for {length} tokens"
    yield f"weights      {found['bytes'] / 1e6:.1f} MB"
    yield f"positions    {reach_of(found)}"
    if found["tasks"]:
        yield _folded("tasks", f"{', '.join(found['tasks'])}: whole models in tasks/NAME")
    yield from _graph_lines(found["graph"])
    for number, step in enumerate(found["lineage"]):
        yield _folded("made by" if number == 0 else "then", _line(step))


def _graph(path: Path) -> dict[str, Any] | None:
    """Describe the graph that lies in a checkpoint; None where there is none.

    What `export` writes is for no runtime of its own, and nothing was found out about it.
    """
    deployment, file = read_deployment(path), path / GRAPH
    if deployment is None:
        return {"bytes": file.stat().st_size} if file.is_file() else None
    return {**asdict(deployment), "bytes": file.stat().st_size}


def _graph_lines(graph: Mapping[str, Any] | None) -> Iterator[str]:
    if graph is None:
        return
    size = f"{graph['bytes'] / 1e6:.1f} MB"
    if "target" not in graph:
        yield _folded("graph", f"plain ONNX, {size}")
        return
    difference = f"{graph['difference']:.1e}"
    about = f"{graph['precision']} for {graph['target']}, {size}, {difference} from PyTorch at most"
    yield _folded("graph", about)
    kinds = (f"{c['kind']} {c['happened']} of {c['expected']}" for c in graph["fusions"])
    yield _folded("fused", "; ".join(kinds))
    # in float among int8, and in fp32 among fp16
    spared = (graph["details"].get(name, {}) for name in ("exceptions", "islands"))
    if left := [f"{path} ({why})" for some in spared for path, why in some.items()]:
        yield _folded("left alone", "; ".join(left))


def _folded(title: str, text: str) -> str:
    lines = f"{title:<12} {text}"
    return textwrap.fill(lines, 80, subsequent_indent=" " * 13, break_on_hyphens=False)


def _ancestor(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "command": step["request"]["command"],
        "settings": step["request"]["settings"],
        "created": step["created"],
        "seconds": step["seconds"],
    }


def _line(step: Mapping[str, Any]) -> str:
    settings = " ".join(f"{n.replace('_', '-')}={v}" for n, v in step["settings"].items())
    return f"{step['command']} {settings}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M"
