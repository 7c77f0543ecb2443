"""What shared keys and values cost before anything is trained, by the way they are made.

python scripts/sharing.py MODEL TASK.toml [--kv-heads 6 4 3 2 1] [--ways index similar fitted]

Each figure is the task's metric on the slice of its training data that is held out.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bertslim.console import Verbosity, verbosity
from bertslim.methods.theseus.successors.kv_heads import KvHeads
from bertslim.methods.theseus.successors.successor import Successor
from bertslim.model.loading import load_model
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.examples import Sample, load_tokenizer, read_tuning, selection_score
from bertslim.train.task import load_task

WAYS = ("index", "similar", "fitted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", help="fine-tuned on the task")
    parser.add_argument("task", type=Path)
    parser.add_argument("--kv-heads", type=int, nargs="+", default=[6, 4, 3, 2, 1], metavar="N")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seed", type=int, default=0, help="decides which rows are held out")
    options = parser.parse_args()
    verbosity.set(Verbosity.QUIET)
    checkpoint, task = open_checkpoint(options.model), load_task(options.task)
    model = load_model(checkpoint)
    if faults := [f for n in options.kv_heads for f in KvHeads(n, "index").faults(model.config)]:
        sys.exit("\n".join(faults))
    everything = Sample(sys.maxsize, options.seed)
    learnt, held_out = read_tuning(task, model, load_tokenizer(checkpoint.path), everything)
    whole = Successor(model, tuple((number,) for number in range(model.config.num_hidden_layers)))
    table = Table("key/value heads", *options.ways, title=task.name, box=None)
    dense = selection_score(model, held_out)
    table.add_row("as it was", f"{dense.value:.4f}")
    for count in options.kv_heads:
        made = [KvHeads(count, way).made(whole, learnt).model for way in options.ways]
        values = [selection_score(other, held_out).value for other in made]
        table.add_row(str(count), *(f"{value:.4f}" for value in values))
    Console().print(f"{task.metric} on {len(held_out.data)} rows", table, sep="\n")


if __name__ == "__main__":
    main()
