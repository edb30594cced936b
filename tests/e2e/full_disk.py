"""Run inside the mount namespace of the full-disk test: `python -m tests.e2e.full_disk DATA_DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conftest import Server, free_port


def main() -> None:
    data_dir = Path(sys.argv[1])
    outputs = data_dir / "outputs"
    server = Server(data_dir, free_port(), ["--demo"], {}).wait_ready()
    try:
        job = server.wait_for(server.submit(steps=1), "failed", "succeeded")
        print(job["error"]["code"] if job["error"] else "no error")
        left = [file.name for file in outputs.iterdir() if file.name != "filler"]
        print(left or "no-file")
        (outputs / "filler").unlink()
        print(server.wait_for(server.submit(steps=1), "failed", "succeeded")["state"])
    finally:
        server.stop()


if __name__ == "__main__":
    main()
