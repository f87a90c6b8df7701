"""What is looked after every few seconds."""
