"""What a client may ask for, and how it becomes a GenerationRequest with nothing left open."""
