"""`bertslim quantize`."""

from bertslim.commands.quantize.command import register as register
