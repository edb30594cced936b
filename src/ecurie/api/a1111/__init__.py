"""The API of AUTOMATIC1111's web UI, for clients that speak it: its bodies become jobs as all others."""
