"""Tokens: what every request carries and every answer must bring back."""

import random
import re
from typing import NamedTuple

PATTERN = re.compile(rb"c(\d+)\.(\d+)\.[0-9a-f]{16}")


class Foreign(NamedTuple):
    """A token that has no business where it was heard."""

    token: str
    of_another_client: bool


class Tokens:
    """The tokens of one client: `c<client>.<sequence>.<64 random bits>`, the same for the same seed."""

    def __init__(self, client, seed):
        self.client = client
        self._sequence = 0
        self._dice = random.Random(f"{seed}/tokens/{client}")

    def new(self):
        """A token nobody has seen."""
        self._sequence += 1
        return f"c{self.client}.{self._sequence}.{self._dice.getrandbits(64):016x}"

    def foreign(self, data, own, own_client_suffices=False):
        """The first token in `data` that is not `own`, if any."""
        for match in PATTERN.finditer(data):
            heard = match.group().decode()
            mine = int(match.group(1)) == self.client
            if heard != own and not (mine and own_client_suffices):
                return Foreign(heard, not mine)
        return None
