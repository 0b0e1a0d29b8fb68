import Glibc
import Simulator

/// The command line: which seeds, and what to say of them.
struct Simulate {
    private var seeds = 0
    private var first: UInt64 = 1
    private var seed: UInt64?
    private var limit = Int.max
    private var flags: Set<String> = []
    private var file: String?
    private var unknown: String?
    private var mutant: Int?
    private var only = 0
    /// In every seed.
    private var workers: Int?

    init(arguments: [String]) {
        var index = 0
        func value() -> String {
            index += 1
            return index < arguments.count ? arguments[index] : ""
        }
        while index < arguments.count {
            switch arguments[index] {
            case "--seeds": seeds = Int(value()) ?? 0
            case "--from": first = UInt64(value()) ?? 1
            case "--seed": seed = UInt64(value())
            case "--until": limit = Int(value()) ?? Int.max
            case "--script": file = value()
            case "--mutant": mutant = Int(value()) ?? 0
            case "--workers": workers = Int(value())
            case "--only": only = Int(value()) ?? 0
            case "--trace", "--shrink", "--hash", "--print", "--go-on", "--mutants":
                flags.insert(arguments[index])
            default: unknown = arguments[index]
            }
            index += 1
        }
    }

    func run() -> Int32 {
        if let unknown {
            print("simulate: unknown argument \(unknown)")
            return 2
        }
        #if MUTANTS
            if flags.contains("--mutants") { return Mutants(limit: seeds, only: only).run() }
            if let mutant { Mutants.choose(mutant) }
        #else
            if flags.contains("--mutants") || mutant != nil || only != 0 {
                print("simulate: there are no mutants in this build; bin/mutants makes one that has them")
                return 2
            }
        #endif
        if !flags.contains("--trace") { Trap.watch() }
        Trap.seed = seed ?? 0
        if flags.contains("--shrink"), let seed { return shrink(seed) }
        if let seed { return one(Scenario.make(seed: seed, workers: workers), name: named(seed)) }
        if let file { return replay(file) }
        return many()
    }

    private func replay(_ file: String) -> Int32 {
        guard let text = TextFile.read(file), let scenario = Scenario(text: text) else {
            print("simulate: \(file) is no script")
            return 2
        }
        return one(scenario, name: "--script \(file)")
    }

    private func shrink(_ seed: UInt64) -> Int32 {
        guard var shrink = Shrink(Scenario.make(seed: seed, workers: workers)) else {
            print("simulate: seed \(seed) finds nothing")
            return 2
        }
        shrink.run()
        let name = file ?? "seed-\(seed).simscript"
        TextFile.write(shrink.scenario.text, to: name)
        print("simulate: \(shrink.runs) runs; written to \(name)")
        return one(shrink.scenario, name: "--script \(name)")
    }

    private func one(_ scenario: Scenario, name: String) -> Int32 {
        let world = World(scenario)
        if flags.contains("--trace") { world.trace = { print($0) } }
        world.run(until: limit)
        if flags.contains("--print") { print(world.played.text) }
        report(world.verdict, name)
        return world.verdict.finding == nil ? 0 : 1
    }

    private func many() -> Int32 {
        var failures = 0
        var events = 0
        var answers = 0
        var hash: UInt64 = 0
        var least = Int.max
        let started = clock()
        for seed in first..<(first + UInt64(seeds)) {
            Trap.seed = seed
            let world = World(Scenario.make(seed: seed, workers: workers))
            world.run()
            events += world.verdict.events
            least = min(least, world.verdict.events)
            answers += world.verdict.answers
            hash = hash &* 31 &+ world.verdict.hash
            guard world.verdict.finding != nil else { continue }
            failures += 1
            report(world.verdict, named(seed))
            if !flags.contains("--go-on") { return 1 }
        }
        let seconds = Double(clock() - started) / Double(CLOCKS_PER_SEC)
        print(
            "\(seeds) seeds, \(failures) findings, \(events) events (\(least) or more each), "
                + "\(answers) answers, "
                + "\(Int(Double(events) / max(seconds, 0.001))) events/s, hash \(String(hash, radix: 16))")
        return failures == 0 ? 0 : 1
    }

    private func named(_ seed: UInt64) -> String {
        "--seed \(seed)" + (workers.map { " --workers \($0)" } ?? "")
    }

    private func report(_ verdict: Verdict, _ name: String) {
        if flags.contains("--hash") {
            print("\(name) hash \(String(verdict.hash, radix: 16)) events \(verdict.events)")
        }
        guard let finding = verdict.finding else { return }
        print("SIM FAIL \(finding) event=\(verdict.events) replay: simulate \(name) --trace")
    }
}
