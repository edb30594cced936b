"""How work is kept: the job table, which job is next, and leases. Without torch."""
