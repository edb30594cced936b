"""The steps of the Dockerfile, run without Docker: `python -m bench.dockerfile FOLDER [--bind PLACE]…`.

Each stage begins with a clean Debian in FOLDER. Then the image's command runs as its user, serves the demo
models and draws a picture. Prints Markdown: seconds of each step, the image's size.
Needs root and debootstrap.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from bench.clean_root import end, inside, make_root

ROOT = Path(__file__).parents[1]
KEY = "rehearsal"
PORT = 8009
WITHOUT_EFFECT = ("HEALTHCHECK", "VOLUME", "EXPOSE")


@dataclass
class Stage:
    """What the image would carry on from one step to the next."""

    root: Path
    values: dict[str, str] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    folder: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)


def steps_of(text: str) -> list[tuple[str, str]]:
    """(instruction, rest) of a Dockerfile, lines joined, comments left out."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", kept)
    return [
        (name.upper(), rest.strip())
        for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


class Rehearsal:
    def __init__(self, folder: Path, binds: list[Path]):
        self._folder, self._binds = folder, binds
        self._base = make_root(folder / "base")
        self._arguments: dict[str, str] = {}
        self._stages: dict[str, Stage] = {}
        self.stage: Stage | None = None

    def run(self, name: str, rest: str) -> None:
        if name in WITHOUT_EFFECT:
            return
        getattr(self, f"_{name.lower()}")(rest)

    def _from(self, rest: str) -> None:
        label = rest.partition(" AS ")[2] or "final"
        root = self._folder / label
        subprocess.run(["cp", "--archive", str(self._base), str(root)], check=True)
        self.stage = self._stages[label] = Stage(root)

    def _arg(self, rest: str) -> None:
        name, _, value = rest.partition("=")
        (self.stage.values if self.stage else self._arguments)[name] = value

    def _env(self, rest: str) -> None:
        stage = self._now()
        for word in shlex.split(rest):
            name, _, value = word.partition("=")
            stage.exported[name] = value.replace("$PATH", stage.exported.get("PATH", "/usr/bin:/bin"))

    def _shell(self, rest: str) -> None:
        self._now().shell = json.loads(rest)

    def _workdir(self, rest: str) -> None:
        self._now().folder = rest
        (self._now().root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _user(self, rest: str) -> None:
        self._now().user = rest

    def _copy(self, rest: str) -> None:
        stage, words = self._now(), shlex.split(rest)
        source = ROOT
        if words[0].startswith("--from="):
            source = self._stages[words.pop(0).removeprefix("--from=")].root
        *names, target = words
        place = (
            stage.root / stage.folder.lstrip("/") / target
            if not target.startswith("/")
            else stage.root / target[1:]
        )
        for name in names:
            found = source / name.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy(found, place)

    def _run(self, rest: str) -> None:
        stage = self._now()
        command = self._inside([*stage.shell, rest], {**stage.values, **stage.exported})
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def _entrypoint(self, rest: str) -> None:
        self._now().entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._now().entrypoint += json.loads(rest)

    def _now(self) -> Stage:
        assert self.stage is not None
        return self.stage

    def _inside(self, command: list[str], environment: dict[str, str]) -> list[str]:
        stage = self._now()
        return inside(
            stage.root, command, environment, user=stage.user, folder=stage.folder, binds=self._binds
        )

    def served(self) -> list[str]:
        """The command line of a container of this image, with the demo models and a key."""
        stage = self._now()
        return self._inside([*stage.entrypoint, "--demo"], {**stage.exported, "ECURIE_API_KEY": KEY})


def ask(path: str, body: dict[str, object] | None = None) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        content: bytes = answer.read()
        return content


def first_picture(command: list[str]) -> tuple[float, float]:
    """Seconds from the start to readiness, and from there to a picture."""
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        try:
            while True:
                try:
                    ask("/readyz")
                    break
                except OSError:
                    assert process.poll() is None, "the container's command has ended"
                    time.sleep(0.2)
            ready = time.monotonic()
            job = json.loads(ask("/generate?wait=100", {"prompt": "red apple", "seed": 7}))
            assert job["state"] == "succeeded", job
            return ready - began, time.monotonic() - ready
        finally:
            end(process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bind", type=Path, action="append", default=[])
    given = parser.parse_args()
    rehearsal = Rehearsal(given.folder.resolve(), given.bind)
    print("| step | seconds |\n|---|---|")
    for name, rest in steps_of((ROOT / "Dockerfile").read_text()):
        began = time.monotonic()
        rehearsal.run(name, rest)
        if name in ("RUN", "COPY"):
            print(f"| `{name} {rest[:60]}…` | {time.monotonic() - began:.1f} |", flush=True)
    ready, drawn = first_picture(rehearsal.served())
    print(f"| start, until ready | {ready:.1f} |\n| first picture | {drawn:.1f} |")
    shown = subprocess.run(
        ["du", "--summarize", "--block-size=MB", str(given.folder / "final")],
        capture_output=True,
        text=True,
        check=True,
    )
    print(f"\nThe image holds {shown.stdout.split()[0]}.")


if __name__ == "__main__":
    main()
