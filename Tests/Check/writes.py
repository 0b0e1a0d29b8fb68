"""The books of writes: what was sent, acknowledged, refused; and what PostgreSQL says about it afterwards."""


class Writes:
    """Tokens of writes and their fate as the clients heard it; what is neither acknowledged nor refused is in doubt."""

    def __init__(self):
        self.counts = {}
        self.in_doubt = set()
        self.absent = set()

    def sent(self, token):
        """About to be sent."""
        self.in_doubt.add(token)

    def acknowledged(self, token, count=1):
        """Said to be stored, with so many rows."""
        self.in_doubt.discard(token)
        self.counts[token] = count

    def refused(self, token):
        """Said not to be stored, or never sent as a whole."""
        self.in_doubt.discard(token)
        self.absent.add(token)

    def compare(self, stored, findings, what):
        """`stored` maps tokens to the number of rows found by a direct connection."""
        for token, count in self.counts.items():
            found = stored.get(token, 0)
            if found < count:
                findings.add("lost", f"{what} {token}: {count} acknowledged, {found} stored")
            elif found > count:
                findings.add("duplicates", f"{what} {token}: {count} acknowledged, {found} stored")
        for token in self.absent & stored.keys():
            findings.add("ghosts", f"{what} {token}: refused, but {stored[token]} stored")
        if what == "insert":
            for token in self.in_doubt & stored.keys():
                if stored[token] > 1:
                    findings.add("duplicates", f"{what} {token}: in doubt, {stored[token]} stored")
        for token in stored.keys() - self.counts.keys() - self.absent - self.in_doubt:
            findings.add("foreign", f"{what} {token} was stored, but never sent")
        findings.tally[f"{what}_acknowledged"] = len(self.counts)
        findings.tally[f"{what}_refused"] = len(self.absent)
        findings.tally[f"{what}_in_doubt"] = len(self.in_doubt)
