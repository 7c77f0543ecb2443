"""`bertslim theseus`."""

from bertslim.commands.theseus.command import register as register
