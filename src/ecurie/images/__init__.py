"""Image files with their provenance inside."""
