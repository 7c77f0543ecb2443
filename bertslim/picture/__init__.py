"""What all pictures have in common, whatever they show."""
