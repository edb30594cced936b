"""A server of the Model Context Protocol: an assistant's tools, each of which asks a running server."""
