#!/usr/bin/env python3
"""Puts the bugs of mutants.txt into a copy of Sources, each behind a switch; see there for the format.

usage: apply.py SOURCES COPY. Files that would not change are left alone, so that a build in COPY is quick.
"""

import os
import re
import sys


class Edit:
    def __init__(self, file):
        self.file, self.old, self.new = file, [], []


def read(path):
    """The mutants as (number, seed or None, text), and the edits."""
    mutants, edits = [], []
    file = None
    for place, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        head = re.fullmatch(r"M(\d+) (\d+|-) (.+)", line)
        if not line or line.startswith("#"):
            continue
        if head:
            seed = None if head[2] == "-" else int(head[2])
            mutants.append((int(head[1]), seed, head[3]))
        elif line.startswith("in "):
            file = line[3:]
            edits.append(Edit(file))
        elif line.startswith("- "):
            if edits[-1].new:
                edits.append(Edit(file))
            edits[-1].old.append(line[2:])
        elif line.startswith("+ "):
            edits[-1].new.append(line[2:])
        else:
            sys.exit(f"{path}:{place}: not a mutant, a file or an edit: {line}")
    return mutants, edits


def change(text, edit):
    pattern = r"\s*\n\s*".join(re.escape(line.strip()) for line in edit.old)
    found = re.findall(pattern, text)
    if len(found) != 1:
        sys.exit(f"mutants.txt: this stands {len(found)} times in {edit.file}, not once:\n  " + "\n  ".join(edit.old))
    return re.sub(pattern, lambda _: "\n".join(edit.new), text)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path) and open(path, encoding="utf-8").read() == text:
        return
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def table(mutants):
    rows = [f"        (number: {n}, seed: {s or 0}, text: {quoted(t)}),\n" for n, s, t in mutants if s is not None]
    missing = [f"        (number: {n}, text: {quoted(t)}),\n" for n, s, t in mutants if s is None]
    return (
        "/// Bugs put back on purpose: one at a time. Written by Tests/Mutants/apply.py.\n"
        "public enum Mutant {\n"
        "    /// Set once, before the first seed; one thread.\n"
        "    nonisolated(unsafe) public static var current = 0\n"
        "    public static func `is`(_ number: Int) -> Bool { current == number }\n\n"
        "    public static let all: [(number: Int, seed: UInt64, text: String)] = [\n" + "".join(rows) + "    ]\n"
        "    public static let notHere: [(number: Int, text: String)] = [\n" + "".join(missing) + "    ]\n}\n"
    )


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main():
    sources, copy = sys.argv[1:]
    mutants, edits = read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mutants.txt"))
    texts = {}
    for folder, _, names in os.walk(sources):
        for name in names:
            path = os.path.join(folder, name)
            texts[os.path.relpath(path, sources)] = open(path, encoding="utf-8").read()
    for edit in edits:
        if edit.file not in texts:
            sys.exit(f"mutants.txt: there is no {edit.file}")
        texts[edit.file] = change(texts[edit.file], edit)
        if not re.search(r"^(\w+ )?import Primitives$", texts[edit.file], re.M):
            texts[edit.file] = "import Primitives\n" + texts[edit.file]
    used = {int(number) for edit in edits for line in edit.new for number in re.findall(r"Mutant\.is\((\d+)\)", line)}
    declared = {number for number, seed, _ in mutants if seed is not None}
    if used != declared:
        sys.exit(f"mutants.txt: without a switch or without a line: {sorted(used ^ declared)}")
    texts["Primitives/Mutant.swift"] = table(mutants)
    for path, text in texts.items():
        write(os.path.join(copy, path), text)
    for folder, _, names in os.walk(copy):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, copy) not in texts:
                os.remove(path)


main()
