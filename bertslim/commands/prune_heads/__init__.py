"""`bertslim prune-heads`."""

from bertslim.commands.prune_heads.command import register as register
