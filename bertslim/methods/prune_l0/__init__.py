"""Removing heads, FFN units and hidden channels by gates that are learnt (McCarley et al. 2019)."""
