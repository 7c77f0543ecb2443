"""More training texts out of those that there are, for a teacher to label."""
