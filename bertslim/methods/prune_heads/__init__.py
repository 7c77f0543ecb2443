"""Removing attention heads by what the loss says of them."""
