"""The ONNX graph that a checkpoint's engine is built from: the stored one, or one made for it."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from bertslim.commands.forms import form_for, usual_int8
from bertslim.console import note
from bertslim.errors import UnavailableError, fault_list
from bertslim.store.checkpoint import Checkpoint
from bertslim.store.deployment import GRAPH
from bertslim.train.task import Task

if TYPE_CHECKING:
    from bertslim.model.modeling import SlimBertPreTrainedModel
    from bertslim.model.quantization import Quantization
    from bertslim.model.slim import SlimModel

Graphs = Callable[[str, str], bytes]
"""(runtime, precision) -> graph."""
Ranges = Callable[[str], "Quantization"]
"""Measures what int8 needs to know of a model for a runtime; may raise UnavailableError."""

CALIBRATION_ROWS = 256
"""Of the training data, where int8 is only to be tried."""


def stored_graph(checkpoint: Checkpoint) -> Graphs:
    """Return the graph of a deployment, whatever is asked for."""
    return lambda _runtime, _precision: (checkpoint.path / GRAPH).read_bytes()


def written_graphs(model: "SlimModel", ranges: Ranges) -> Graphs:
    """Write a model down in the form that a runtime runs best; each is calibrated for once."""
    measured = functools.cache(ranges)

    def graph_for(runtime: str, precision: str) -> bytes:
        from bertslim.graph.emit import emit

        ranges = measured(runtime) if precision == "int8" else None
        form = form_for(
            runtime, precision, ranges, dynamic=rounds_states(model, runtime, precision)
        )
        if form.floats == "fp16":
            refuse_beyond_half(model)
        graph: bytes = emit(model, form).SerializeToString()
        return graph

    return graph_for


def say_who_decodes(model: "SlimModel") -> None:
    """Say of a graph whose logits are not yet the answer what is left to do."""
    from bertslim.model.running import decoder_of

    if decoder_of(model) is not None:
        note("the graph gives logits: the tags of a sentence are for the CRF, see decode()")


def refuse_beyond_half(model: "SlimModel") -> None:
    """Refuse fp16 to a recurrent model whose weights do not tell that it holds all sums.

    Raises:
        UnavailableError: Naming what may be too large.
    """
    from bertslim.methods.quantize.recurrent import beyond_half
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel

    if isinstance(model, SlimLstmPreTrainedModel) and (faults := beyond_half(model)):
        reasons = [f"{path}: {reason}" for path, reason in faults.items()]
        raise UnavailableError(
            fault_list("fp16 may not hold what this model computes", reasons), "keep it in fp32"
        )


def rounds_states(model: "SlimModel", runtime: str, precision: str) -> bool:
    """Whether LSTMs compute in int8, with ranges of their own at every step, which is faster."""
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel

    recurrent = isinstance(model, SlimLstmPreTrainedModel)
    return recurrent and (runtime, precision) == ("onnxruntime", "int8")


def ranges_from(model: "SlimModel", checkpoint: Checkpoint, task: Task | None, seed: int) -> Ranges:
    """Return what calibrates a model, when it is asked to, on training data of a task.

    The ranges of a recurrent model are known without.
    """
    from bertslim.methods.quantize.recurrent import known_ranges
    from bertslim.model.lstm.modeling import SlimLstmPreTrainedModel

    if isinstance(model, SlimLstmPreTrainedModel):
        return lambda _runtime: known_ranges(model)

    def measure(runtime: str) -> "Quantization":
        if task is None:
            raise UnavailableError(
                "int8 needs ranges, which are measured on the training data of a --task",
                "give --task, or the output of bertslim quantize",
            )
        note(f"int8 of {checkpoint.origin}: calibrating on {CALIBRATION_ROWS} training rows")
        return task_ranges(model, checkpoint, task, runtime, seed)

    return measure


def task_ranges(
    model: "SlimBertPreTrainedModel", checkpoint: Checkpoint, task: Task, runtime: str, seed: int
) -> "Quantization":
    """Calibrate on a sample of a task's training data, by the defaults of `quantize`."""
    from bertslim.methods.quantize.calibrate import quantize
    from bertslim.methods.quantize.observe import Rows
    from bertslim.train.examples import Sample, load_tokenizer, read_examples

    tokenizer = load_tokenizer(checkpoint.path)
    sample = Sample(CALIBRATION_ROWS, seed)
    examples = read_examples(task, "train", model, tokenizer, sample)
    rows = Rows(examples.encoded, batch_size=8, masking=examples.masking)
    quantization, _ = quantize(model, usual_int8(runtime, type(model).__name__), rows)
    return quantization
