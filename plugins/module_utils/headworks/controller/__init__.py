"""What only the controller does: the image store."""
