"""Pictures made to fit what is drawn: their size, their mask, and what of them stays."""

from __future__ import annotations

from PIL import Image, ImageFilter, ImageOps

from ecurie.images.incoming import to_8_bits

LANCZOS = Image.Resampling.LANCZOS


def fit(picture: Image.Image, width: int, height: int, resize: str) -> Image.Image:
    """`crop`: scaled until it covers the size, then cut at both ends; `stretch`: distorted."""
    if picture.size == (width, height):
        return picture
    if resize == "crop":
        return ImageOps.fit(picture, (width, height), LANCZOS)
    return picture.resize((width, height), LANCZOS)


def mask_of(picture: Image.Image) -> Image.Image:
    """Mode L; white is drawn anew. What is transparent is black; where no colour is left, what is opaque is
    white, as brush strokes of any colour on a transparent layer mean it."""
    picture = to_8_bits(picture)
    if not picture.has_transparency_data:
        return picture.convert("L")
    layer = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("L")
    alpha = layer.getchannel("A")
    only_alpha = flat.getextrema() == (0, 0) and alpha.getextrema() != (255, 255)
    return alpha if only_alpha else flat


def mask_of_holes(picture: Image.Image) -> Image.Image:
    """Mode L; white is drawn anew: where the picture is transparent. One that has no transparency at all is a
    mask already."""
    if not picture.has_transparency_data:
        return mask_of(picture)
    return ImageOps.invert(picture.convert("RGBA").getchannel("A"))


def blurred(mask: Image.Image, radius: float) -> Image.Image:
    return mask.filter(ImageFilter.GaussianBlur(radius)) if radius else mask


def keep_unmasked(drawn: Image.Image, before: Image.Image, mask: Image.Image) -> Image.Image:
    """`before` where the mask is black, to the bit; `drawn` where it is white."""
    return Image.composite(drawn, before, mask)
