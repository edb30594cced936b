"""Who may what: API keys, their limits, and links that expire."""
