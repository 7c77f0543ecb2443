"""`bertslim finetune`."""

from bertslim.commands.finetune.command import register as register
