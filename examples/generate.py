"""A picture, told about while it is drawn. Ctrl-C cancels the job.

python examples/generate.py [SERVER]
"""

import sys

from ecurie.client import Client

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8009"
with Client(url) as client, client.submit("red apple", seed=7, steps=20) as job:
    for progress in job.progress():
        print(f"{progress.phase}: {progress.step} of {progress.total}", file=sys.stderr)
    print(job.result.image.save("apple.png"))
