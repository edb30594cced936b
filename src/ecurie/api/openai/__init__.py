"""OpenAI's Images API (`/v1/…`), on the same queue and engine as every other interface."""
