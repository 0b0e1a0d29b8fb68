"""Reads the logs of pgcheck --log once more, by other means: recheck.py DIR. Exit status 1 on any finding.

Every token belongs to one request of one client; nobody else may have heard it; sequences only rise.
"""

import json
import sys
from pathlib import Path


def recheck(folder):
    """What is wrong, as lines."""
    wrong, owners = [], {}
    for path in sorted(Path(folder).glob("client-*.jsonl")):
        number = path.stem.removeprefix("client-")
        for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            entry = json.loads(line)
            token, where = entry["token"], f"{path.name}:{at}"
            if token.split(".")[0] != "c" + number:
                wrong.append(f"{where}: {token} is not of this client")
            for heard in entry["heard"]:
                if owners.setdefault(heard, number) != number or heard != token:
                    wrong.append(f"{where}: {token} heard {heard}")
    return wrong


if __name__ == "__main__":
    found = recheck(sys.argv[1])
    print("\n".join(found[:50]) or "No finding.")
    sys.exit(bool(found))
