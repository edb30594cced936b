"""`ecurie cancel`: stops a job of a server."""

from __future__ import annotations

from ecurie.cli import flags
from ecurie.cli.remote import client_of


def cancel(job_id: flags.JobId, url: flags.Url = None, data_dir: flags.DataDir = None) -> None:
    """Cancel a job of a running server: a queued one at once, a running one within a step."""
    from ecurie.settings import load_settings

    with client_of(load_settings(data_dir=data_dir), url) as client:
        state = client.cancel(job_id)
    print(f"job {job_id} is cancelled" if state == "cancelled" else f"job {job_id} is stopping")
