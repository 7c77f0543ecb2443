"""Several tasks in one run: their files, how often each has its turn, and what is written."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bertslim.errors import DataError, SettingsError, fault_list, gathered
from bertslim.store.checkpoint import TASKS, Checkpoint
from bertslim.train.task import Task, load_task, task_digest

if TYPE_CHECKING:
    from bertslim.model.multitask import MultiTaskModel

T = TypeVar("T")
KINDS = ("text-classification", "text-regression", "token-classification")
"""Kinds of task that can share an encoder."""
BALANCE = 0.5
Balance = Annotated[
    float | None,
    typer.Option(
        "--balance",
        metavar="P",
        min=0,
        max=1,
        help="Of several tasks: each has its turn as often as its size to the power of P says; 0: "
        "all alike, 1: each text once an epoch.",
        show_default=str(BALANCE),
    ),
]


def load_tasks(paths: Sequence[Path]) -> tuple[Task, ...]:
    """Read the task files of a run.

    Raises:
        DataError: If one of them is not valid.
        SettingsError: With everything that keeps several tasks from sharing an encoder.
    """
    if len(paths) == 1:
        return (load_task(paths[0]),)
    tasks, faults = [], list(_name_faults(paths))
    for path in dict.fromkeys(paths):
        try:
            tasks.append(load_task(path))
        except DataError as error:
            faults.append(str(error).replace("\n", "\n  "))
    faults += [f"{t.name} is {t.kind}, which is learnt alone" for t in tasks if t.kind not in KINDS]
    if faults:
        raise SettingsError(
            fault_list("these tasks cannot share an encoder", faults),
            f"name different files of {', '.join(KINDS)}",
        )
    return tuple(tasks)


def _name_faults(paths: Sequence[Path]) -> Iterator[str]:
    """Yield files that are there twice, and different ones that are called alike."""
    files = Counter(path.resolve() for path in paths)
    yield from (f"--task {file} is given twice" for file, count in files.items() if count > 1)
    given = list({path.resolve(): path for path in paths}.values())
    for name, count in Counter(path.stem for path in given).items():
        if count > 1:
            alike = " and ".join(str(path) for path in given if path.stem == name)
            yield f"{alike} are both called {name}"


def together(tasks: Sequence[Task], balance: float | None) -> dict[str, Any]:
    """Return the settings of several tasks; of one there are none.

    Raises:
        SettingsError: If one task is to be balanced.
    """
    if len(tasks) > 1:
        names = [task.name for task in tasks]
        return {"tasks": names, "balance": BALANCE if balance is None else balance}
    if balance is not None:
        raise SettingsError(
            f"--balance {balance} is for several tasks, and there is one", "leave it out"
        )
    return {}


def of_all(names: Iterable[str], make: Callable[[str], T]) -> dict[str, T]:
    """Make something for each task by its name; what goes wrong is told of all at once."""
    wanted = tuple(names)
    attempts = [partial(make, name) for name in wanted]
    found = gathered("these tasks cannot be learnt together", attempts)
    return dict(zip(wanted, found, strict=True))


def names_of_several(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the tasks' names if there are several."""
    return tuple(task.name for task in tasks) if len(tasks) > 1 else ()


def by_role(role: str, tasks: Sequence[Task]) -> list[str]:
    """Return what the record calls something that each task has: the role, or one of each task."""
    return [role] if len(tasks) == 1 else [f"{role}-{task.name}" for task in tasks]


def task_digests(tasks: Sequence[Task]) -> dict[str, str]:
    """Return the digests of training and validation data."""
    digests = [task_digest(task, ("train", "validation")) for task in tasks]
    return dict(zip(by_role("task", tasks), digests, strict=True))


def task_sources(tasks: Sequence[Task], paths: Sequence[Path]) -> dict[str, str]:
    """Return where the task files lie."""
    return dict(zip(by_role("task", tasks), map(str, paths), strict=True))


def heads_of(checkpoint: Checkpoint, tasks: Sequence[Task]) -> dict[str, Checkpoint]:
    """Return the whole models, by the task's name, that lie in a checkpoint of several tasks."""
    if len(tasks) == 1:
        return {}
    names = [task.name for task in tasks]
    return {name: checkpoint.of_task(name) for name in checkpoint.tasks if name in names}


def save_tasks(
    model: "MultiTaskModel", directory: Path, save_tokenizer: Callable[[Path], None]
) -> None:
    """Write the shared encoder, and the whole model of each task inside."""
    from bertslim.model.saving import save_model

    places = {directory / TASKS / name: one for name, one in model.tasks.items()}
    for place, one in ({directory: model.headless()} | places).items():
        save_model(one, place, tokenizer_from=None)
        save_tokenizer(place)


def mean_value(scores: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the mean of the metrics that decide, over the tasks."""
    return fmean(float(score["value"]) for score in scores.values())
