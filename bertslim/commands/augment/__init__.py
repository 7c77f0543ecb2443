"""`bertslim augment`."""

from bertslim.commands.augment.command import register as register
