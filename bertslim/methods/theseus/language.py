"""The little language that a successor is asked for in: `layers=1/2,kv-heads=1,window=64`."""

from bertslim.errors import given_twice
from bertslim.methods.theseus.successors import KINDS
from bertslim.methods.theseus.successors.successor import Choices, Kind


def read_successor(text: str, choices: Choices) -> tuple[list[Kind], list[str]]:
    """Read the kinds, in the order in which they are made, and everything that is wrong.

    Args:
        text: Words such as `layers=1/2`, between commas.
        choices: What the kinds need besides.

    Returns:
        The kinds that could be read, and the faults, a line each.
    """
    pairs = [word.strip().partition("=")[::2] for word in text.split(",") if word.strip()]
    faults = [] if pairs else [f"it asks for nothing; it knows {', '.join(KINDS)}"]
    faults += given_twice(name for name, _ in pairs)
    unknown = [name for name in dict.fromkeys(name for name, _ in pairs) if name not in KINDS]
    faults += [f"{name} is unknown; it knows {', '.join(KINDS)}" for name in unknown]
    kinds = {}
    for name, value in pairs:
        try:
            if name in KINDS:
                kinds[name] = KINDS[name](value, choices)
        except ValueError as error:
            faults.append(str(error))
    return [kinds[name] for name in KINDS if name in kinds], faults
