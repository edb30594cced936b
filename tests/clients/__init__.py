"""Other programs' clients against a real server; `make clients-table` writes what they showed."""
