"""What a teacher answered, kept on disk: asked once, read in every epoch and by every run."""
