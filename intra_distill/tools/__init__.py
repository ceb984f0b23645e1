"""What the commands do, by subject, in the order of a recipe."""
