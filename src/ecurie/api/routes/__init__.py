"""One file for each dialect that the server speaks."""
