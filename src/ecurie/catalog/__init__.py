"""What exists: models, adapters, schedulers and where their files come from."""
