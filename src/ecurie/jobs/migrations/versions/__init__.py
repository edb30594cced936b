"""One file for each migration, append-only."""
