"""What a file is, read without torch."""
