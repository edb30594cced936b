"""What a file that is no safetensors file seems to be, by its first bytes."""

from __future__ import annotations

SNIFFED_BYTES = 64
GET_SAFETENSORS = "get it as .safetensors: pickled weights can run code when they are opened"
# First bytes (in lower case), what they mean, what to do; in the order in which they are tried.
BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "it is a git-lfs pointer, not the file itself", "run: git lfs pull"),
    (b"pk\x03\x04", "it is a zip archive, as PyTorch's pickled .ckpt and .pt files are", GET_SAFETENSORS),
    (b"\x80", "it is a pickle", GET_SAFETENSORS),
    (b"gguf", "it is a GGUF file", "get it as .safetensors"),
    (b"\x89png", "it is a PNG picture", "give the adapter or checkpoint itself"),
    (b"\xff\xd8\xff", "it is a JPEG picture", "give the adapter or checkpoint itself"),
    (b"<", "it is a web page", "the download failed: get it again, signed in if the site asks for it"),
    (b"{", "it is JSON text", "the download failed: the text may say why"),
)
TEXT_CONTROLS = frozenset(b"\t\n\r")


def what_begins_with(start: bytes) -> tuple[str, str | None]:
    """(what it is, what to do) for the first bytes of a file.

    A pickle of protocol 2 or later begins with 0x80 and its number; a safetensors header of 128 bytes does
    too, so this is asked only about files whose header could not be read.
    """
    if not start:
        return "it is empty", "the download failed: get it again"
    plain = start.lstrip().lower()
    for beginning, what, remedy in BEGINNINGS:
        if plain.startswith(beginning):
            return what, remedy
    if all(0x20 <= byte < 0x7F or byte in TEXT_CONTROLS for byte in start):
        return "it is text", "give the adapter or checkpoint itself"
    return "or it is cut short", "the download may have been interrupted: get it again"
