import Fuzzers
import Glibc
import Primitives

/// The command line: which fuzzers, for how long, from which seed.
struct FuzzCommand {
    private var names: [String] = []
    private var seconds = 10.0
    private var seed: UInt64?
    private var wantsList = false
    private var wantsAll = false
    private var mistake: String?

    static let usage = """
        fuzz --list                              the fuzzers
        fuzz --all --seconds N [--seed S]        the corpora and N seconds of every fuzzer; the canary first
        fuzz NAME --seconds N [--seed S]         the corpus and N seconds of one
        fuzz NAME FILE... [--trace]              these inputs only; with everything that goes over the links
        Findings are kept as Tests/Corpus/NAME/crash-...; the exit status is 0 without any, 1 with one,
        3 after a trap.
        """

    init(arguments: [String]) {
        var index = 0
        func value() -> String {
            index += 1
            return index < arguments.count ? arguments[index] : ""
        }
        while index < arguments.count {
            switch arguments[index] {
            case "--list": wantsList = true
            case "--all": wantsAll = true
            case "--trace": Trace.isOn = true
            case "--seconds":
                let text = value()
                if let number = Double(text) { seconds = number } else { mistake = "--seconds \(text)" }
            case "--seed":
                let text = value()
                if let number = UInt64(text) { seed = number } else { mistake = "--seed \(text)" }
            case let word where word.hasPrefix("--"): mistake = word
            case let word: names.append(word)
            }
            index += 1
        }
    }

    func run() -> Int32 {
        if let mistake {
            say("fuzz: cannot use \(mistake)\n\(Self.usage)")
            return 2
        }
        if wantsList {
            for fuzzer in FuzzTable.all + FuzzTable.canaries {
                say("\(Self.padded(fuzzer.id, 4)) \(Self.padded(fuzzer.name, 16)) \(fuzzer.sentence)")
            }
            return 0
        }
        Trap.watch()
        if wantsAll { return all() }
        guard let name = names.first, let fuzzer = FuzzTable.named(name) else {
            say(Self.usage)
            return 2
        }
        if names.count > 1 { return replay(fuzzer, Array(names.dropFirst())) }
        return fuzz(fuzzer) ? 0 : 1
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.utf8.count))
    }

    // MARK: Ways to run

    private func all() -> Int32 {
        guard let canary = FuzzTable.canaries.first, canaryFails(canary) else {
            say("FUZZ FAIL the canary does not sing: findings would go unseen")
            return 1
        }
        var failures = 0
        for fuzzer in FuzzTable.all where !fuzz(fuzzer) { failures += 1 }
        say(
            failures == 0
                ? "fuzz: \(FuzzTable.all.count) fuzzers, no finding" : "fuzz: \(failures) fuzzers FAILED")
        return failures == 0 ? 0 : 1
    }

    private func canaryFails(_ canary: Fuzzer) -> Bool {
        var mutator = Mutator(seed: 1, for: canary)
        return (0..<100_000).contains { _ in canary.run(mutator.next(from: [])).finding != nil }
    }

    private func replay(_ fuzzer: Fuzzer, _ files: [String]) -> Int32 {
        var failures = 0
        for path in files {
            guard let bytes = Folder.read(path) else {
                say("fuzz: cannot read \(path)")
                return 2
            }
            Trap.isReplay = path
            let verdict = judge(fuzzer, bytes)
            if let finding = verdict.finding {
                failures += 1
                say("FUZZ FAIL \(fuzzer.name): \(finding)\n  \(path)")
            }
        }
        say("fuzz: \(files.count) inputs of \(fuzzer.name), \(failures) findings")
        return failures == 0 ? 0 : 1
    }

    /// The corpus, then new inputs until the time is up; whether nothing was found.
    private func fuzz(_ fuzzer: Fuzzer) -> Bool {
        let known = Folder.inputs(of: fuzzer)
        for (path, bytes) in known {
            Trap.isReplay = path
            if let finding = judge(fuzzer, bytes).finding {
                say("FUZZ FAIL \(fuzzer.name): \(finding)\n  replay: fuzz \(fuzzer.name) \(path)")
                return false
            }
        }
        Trap.isReplay = ""
        let seed = seed ?? UInt64(Clock.wallNanoseconds)
        var mutator = Mutator(seed: seed, for: fuzzer)
        var corpus = known.map(\.bytes)
        let seeds = corpus.count
        let started = Clock.nanoseconds
        var runs = 0
        while Double(Clock.nanoseconds - started) < seconds * 1e9 {
            let bytes = mutator.next(from: corpus)
            if let finding = judge(fuzzer, bytes).finding {
                let path = Folder.keep(bytes, of: fuzzer.name)
                say("FUZZ FAIL \(fuzzer.name): \(finding)\n  seed \(seed), run \(runs)")
                say("  replay: fuzz \(fuzzer.name) \(path)")
                return false
            }
            runs += 1
            // Some descendants stay, so that changes add up; the oldest of them make room.
            if runs % 16 == 0 {
                if corpus.count > seeds + 256 { corpus.remove(at: seeds) }
                corpus.append(bytes)
            }
        }
        let elapsed = Double(Clock.nanoseconds - started) / 1e9
        say(
            "\(Self.padded(fuzzer.id, 4)) \(Self.padded(fuzzer.name, 16)) "
                + "\(known.count) seeds, \(runs) runs, "
                + "\(Int(Double(runs) / max(elapsed, 0.001)))/s, seed \(seed)")
        return true
    }

    /// One input, with the bounds on time and memory that hold for all.
    private func judge(_ fuzzer: Fuzzer, _ bytes: Bytes) -> Verdict {
        Trap.input = bytes
        Trap.fuzzer = fuzzer.name
        alarm(Trap.patienceSeconds)
        defer { alarm(0) }
        let memory = Clock.peakKilobytes
        let before = Clock.processorNanoseconds
        let verdict = fuzzer.run(bytes)
        if verdict != .fine { return verdict }
        if Clock.processorNanoseconds - before > fuzzer.boundMilliseconds * 1_000_000 {
            // A busy machine is no finding: it has to be slow twice.
            let again = Clock.processorNanoseconds
            _ = fuzzer.run(bytes)
            let spent = (Clock.processorNanoseconds - again) / 1_000_000
            if spent > fuzzer.boundMilliseconds { return .finding("slow: \(spent) ms of processor time") }
        }
        let grown = Clock.peakKilobytes - memory
        return grown > 64 * 1024 ? .finding("memory: \(grown) KiB more") : .fine
    }
}

/// A line that is seen at once, also through a pipe.
func say(_ line: String) {
    print(line)
    fflush(nil)
}
