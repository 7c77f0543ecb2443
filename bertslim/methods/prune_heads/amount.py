"""How many heads are to go, and how many can."""

from bertslim.errors import SettingsError
from bertslim.model.configuration import SlimBertConfig, layer_widths

Amount = float | int
"""A float is a fraction of all heads, an integer their number: 1.0 is all of them, 1 is one."""


def removable(config: SlimBertConfig, keep_at_least: int) -> int:
    """Count the heads that layers have beyond their minimum."""
    return sum(max(0, width.heads - keep_at_least) for width in layer_widths(config))


def most_removable(config: SlimBertConfig, keep_at_least: int) -> int:
    """Count the heads that can go for good: the model keeps one at least.

    Raises:
        SettingsError: If none can.
    """
    heads = sum(width.heads for width in layer_widths(config))
    most = min(removable(config, keep_at_least), heads - 1)
    if most < 1:
        raise SettingsError(
            f"with --keep-at-least {keep_at_least} none of the model's {heads} heads can go",
            "lower it" if keep_at_least else "there is nothing left to prune",
        )
    return most


def heads_to_remove(config: SlimBertConfig, remove: Amount, keep_at_least: int) -> int:
    """Turn what --remove asks for into a number of heads.

    Raises:
        SettingsError: If so many cannot go, or if it comes to none.
    """
    heads, most = sum(w.heads for w in layer_widths(config)), most_removable(config, keep_at_least)
    goal = remove if isinstance(remove, int) else round(remove * heads)
    asked = f"--remove {remove}" + ("" if goal == remove else f" ({goal} heads)")
    if goal > heads:
        raise SettingsError(f"{asked}: the model has {heads} heads", "lower it")
    if goal == heads:
        raise SettingsError(
            f"{asked} takes all {heads} heads: tokens would no longer see each other",
            f"at most {most} can go",
        )
    if goal > most:
        raise SettingsError(
            f"{asked}: with --keep-at-least {keep_at_least} only {most} of {heads} heads can go",
            "lower one of them",
        )
    if goal < 1:
        raise SettingsError(f"{asked} removes none of {heads} heads", "raise it")
    return goal
