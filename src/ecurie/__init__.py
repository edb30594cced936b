"""Écurie: a self-hosted image-generation server for SDXL-family checkpoints with dynamic adapter stacks."""

__version__ = "0.1.0"
