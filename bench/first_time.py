"""From a fresh Debian to the first picture: `python -m bench.first_time FOLDER [--bind PLACE]…`.

In a clean Debian in FOLDER, with the README's lines and nothing else. Prints Markdown: seconds of each.
Needs root and debootstrap; port 8009 must be free.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
import urllib.request
from pathlib import Path

from bench.clean_root import end, inside, make_root

ROOT = Path(__file__).parents[1]
PACKAGES = "apt-get update && apt-get install --yes python3-venv make git"
BODY = {"prompt": "red apple", "seed": 7}


def post(path: str, body: dict[str, object]) -> dict[str, object]:
    request = urllib.request.Request(f"http://localhost:8009{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=120) as answer:
        content: dict[str, object] = json.loads(answer.read())
        return content


def drawn(process: subprocess.Popen[bytes]) -> None:
    """As soon as the server answers."""
    while True:
        try:
            job = post("/generate?wait=100", BODY)
            break
        except OSError:
            assert process.poll() is None, "make demo has ended"
            time.sleep(0.2)
    assert job["state"] == "succeeded", job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bind", type=Path, action="append", default=[])
    given = parser.parse_args()
    root = make_root(given.folder.resolve())
    began = time.monotonic()

    def told(what: str) -> None:
        nonlocal began
        print(f"| {what} | {time.monotonic() - began:.0f} |", flush=True)
        began = time.monotonic()

    def shell(command: str, folder: str = "/root") -> list[str]:
        return inside(root, ["sh", "-ec", command], {"HOME": "/root"}, folder=folder, binds=given.bind)

    print("| step | seconds |\n|---|---|")
    subprocess.run(shell(PACKAGES), check=True, stdout=subprocess.DEVNULL)
    told(f"`{PACKAGES}`")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root / "root" / "ecurie")], check=True)
    told("`git clone`")
    for what in ("first `make demo TORCH=cpu`, to the first picture", "second"):
        with subprocess.Popen(
            shell("make demo TORCH=cpu", "/root/ecurie"), stderr=subprocess.DEVNULL
        ) as process:
            try:
                drawn(process)
                told(what)
            finally:
                end(process)


if __name__ == "__main__":
    main()
