"""The twenty prompts of the picture in the README and of the test that the demo draws what it is asked."""

from __future__ import annotations

# The prompt, and the emoji that it should draw.
PROMPTS: dict[str, str] = {
    "red apple": "red-apple",
    "cat face": "cat-face",
    "rocket": "rocket",
    "pizza": "pizza",
    "grinning face": "grinning-face",
    "dog": "dog-face",
    "umbrella": "umbrella",
    "spouting whale": "spouting-whale",
    "birthday cake": "birthday-cake",
    "sun with face": "sun-with-face",
    "a red car": "automobile",
    "mushroom": "mushroom",
    "octopus": "octopus",
    "strawberry": "strawberry",
    "light bulb": "light-bulb",
    "house with garden": "house-with-garden",
    "butterfly": "butterfly",
    "hamburger": "hamburger",
    "alien": "alien",
    "pony": "unicorn",
}
