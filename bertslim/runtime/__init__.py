"""Engines that can be compared and timed; each runtime is imported when it is asked for."""
