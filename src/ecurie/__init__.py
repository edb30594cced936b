"""Écurie: a self-hosted image-generation server for SDXL-family checkpoints with dynamic adapter stacks."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ecurie")
except PackageNotFoundError:
    # Run from a checkout that is not installed.
    __version__ = "0+unknown"
