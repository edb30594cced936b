"""A picture drawn from another one: the whole, and only what a mask leaves white.

python examples/edit.py PICTURE MASK [SERVER]
"""

import sys

from ecurie.client import Client

picture, mask, *server = sys.argv[1:]
with Client(server[0] if server else "http://localhost:8009") as client:
    whole = client.generate("dog", init_image=picture, strength=0.6, seed=7, steps=15)
    print(whole.image.save("whole.png"))
    part = client.generate("dog", init_image=picture, mask=mask, strength=0.8, seed=7, steps=15)
    print(part.image.save("part.png"))
    # What was made is a picture to start from too, without sending it again.
    again = client.generate("dog", init_image=part.image, strength=0.2, seed=7, steps=15)
    print(again.image.save("again.png"))
