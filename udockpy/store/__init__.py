"""What the user keeps: images, containers, and what is remembered of his sandboxes."""
