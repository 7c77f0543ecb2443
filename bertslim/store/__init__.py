"""The disk contract: what a checkpoint directory is, and how one comes into being whole."""
