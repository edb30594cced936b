"""Training of the bundled demo models; nothing here is needed to run Écurie."""
