"""`bertslim distill`."""

from bertslim.commands.distill.command import register as register
