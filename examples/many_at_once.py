"""Several jobs at once; the server draws them one after the other, or on as many workers as it has.

python examples/many_at_once.py [SERVER]
"""

import asyncio
import sys

from ecurie.client import AsyncClient

PROMPTS = ("red apple", "rocket", "cat face", "pizza")


async def draw(client: AsyncClient, prompt: str) -> None:
    result = await client.generate(prompt, seed=7, steps=10)
    print(await result.image.save(f"{prompt.replace(' ', '-')}.png"))


async def main(url: str) -> None:
    # A full queue answers when to come back; this waits for up to a minute.
    async with AsyncClient(url, patience=60) as client:
        await asyncio.gather(*(draw(client, prompt) for prompt in PROMPTS))


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8009"))
