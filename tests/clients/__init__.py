"""Other programs' clients against a real server. `make clients-table` tells in docs/clients.md what they showed."""
