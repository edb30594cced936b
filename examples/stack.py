"""A stack of adapters with weights of their own, and what the server did with each.

python examples/stack.py [SERVER]
"""

import sys

from ecurie.client import Client
from ecurie.client.shapes import Lora

STACK: list[Lora] = [
    {"name": "style-anime", "weight": 0.6},
    {"name": "cyberpunk-style", "unet": 0.9, "text_encoder": 0.3},
]

with Client(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8009") as client:
    known = {lora["id"]: lora for lora in client.loras()}
    for used in STACK:
        print(used["name"], "adds", ", ".join(known[used["name"]]["trigger_words"]))
    result = client.generate("rocket", loras=STACK, seed=42, steps=20)
    for adapter in result.report["adapters"]:
        algorithms = ", ".join(f"{name} in {count}" for name, count in adapter["algorithms"].items())
        print(f"{adapter['name']}: {algorithms} of {adapter['modules']} modules")
        print(f"  unet {adapter['unet']}, text encoder {adapter['text_encoder']}, {adapter['sha256'][:12]}")
    print(result.prompt)
    print(result.image.save("stack.png"))
