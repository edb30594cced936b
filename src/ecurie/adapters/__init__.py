"""What an adapter does: tensors only. Factors of files, their deltas, and weights patched and restored."""
