"""What a run has found, and its report."""

import json
from collections import Counter

KINDS = {
    "mixups": "a token of another client was heard",
    "duplicates": "a write is there twice, or an answer came twice",
    "lost": "an acknowledged write is missing",
    "ghosts": "a refused write is there",
    "foreign": "an answer nobody asked for",
    "wrong": "an answer that is damaged or does not fit",
    "leaks": "state of another transaction or session was seen",
    "bystanders": "a query that nobody cancelled was cancelled",
    "hangs": "no answer in time",
    "unexpected": "an error or lost connection that the run does not allow",
    "checker": "the checking client itself failed",
}
SHOWN = 40


class Findings:
    """Counts and the first lines of everything wrong; `allowed` are SQLSTATEs (or their beginnings) and `lost`."""

    def __init__(self, allowed=()):
        self.allowed = tuple(allowed)
        self.counts = Counter()
        self.lines = []
        self.errors = Counter()
        self.tally = Counter()
        self.messages = Counter()

    def add(self, kind, text):
        """Something wrong."""
        assert kind in KINDS, kind
        self.counts[kind] += 1
        if len(self.lines) < SHOWN:
            self.lines.append(f"{kind}: {text}")

    def allows(self, code):
        """Whether an error with this SQLSTATE may happen in this run."""
        return any(code.startswith(beginning) for beginning in self.allowed)

    def setback(self, code, text):
        """An error that no request asked for: a finding unless it is allowed."""
        self.errors[code] += 1
        self.messages[f"{code} {text.partition(': ')[2].removeprefix(code).strip()}"[:120]] += 1
        if code == "57014" and not self.allows(code):
            self.add("bystanders", text)
        elif not self.allows(code):
            self.add("unexpected", f"{code} {text}")

    def disconnection(self, text):
        """A connection that ended without an error."""
        self.tally["disconnections"] += 1
        if "lost" not in self.allowed:
            self.add("unexpected", f"lost connection: {text}")

    @property
    def total(self):
        """How many things are wrong."""
        return sum(self.counts.values())

    def report(self, seconds):
        """Everything as a dictionary."""
        return {
            "findings": self.total,
            **{kind: self.counts[kind] for kind in KINDS},
            "seconds": round(seconds, 2),
            "requests_per_second": round(self.tally["requests"] / max(seconds, 0.001)),
            **{name: self.tally[name] for name in sorted(self.tally)},
            "errors": dict(sorted(self.errors.items())),
            "messages": dict(self.messages.most_common(12)),
            "lines": self.lines,
        }


def show(report):
    """The report as text."""
    lines = [f"  {line}" for line in report["lines"]]
    lines += [f"{kind:12} {report[kind]:6}  {what}" for kind, what in KINDS.items()]
    rest = {k: v for k, v in report.items() if k not in KINDS and k not in ("lines", "errors", "messages", "findings")}
    lines.append(", ".join(f"{name} {value}" for name, value in rest.items()))
    lines.append("errors by SQLSTATE: " + (json.dumps(report["errors"]) if report["errors"] else "none"))
    lines += [f"  {times} x {text}" for text, times in report["messages"].items()]
    lines.append("No finding." if not report["findings"] else f"{report['findings']} FINDINGS.")
    return "\n".join(lines)
