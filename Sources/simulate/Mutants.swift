#if MUTANTS
    import Glibc
    import Primitives
    import Simulator

    /// Runs the seeds on bugs put back on purpose (Tests/Mutants): every one must be found. Each runs in a
    /// process of its own, because some of them end it.
    struct Mutants {
        /// How many seeds a mutant may survive.
        let limit: Int
        /// One mutant, or 0 for all.
        let only: Int

        private typealias Pipe = UnsafeMutablePointer<FILE>

        /// From here on this process has that bug.
        static func choose(_ number: Int) { Mutant.current = number }

        func run() -> Int32 {
            var survivors = 0
            var seeds: Set<UInt64> = []
            let chosen = Mutant.all.filter { only == 0 || $0.number == only }.sorted { $0.number < $1.number }
            print("mutant  oracle  seed   event   what is wrong")
            // Two at a time: while one is read, the next runs.
            var ahead = chosen.first.flatMap { start($0.number, $0.seed) }
            for (index, mutant) in chosen.enumerated() {
                let output = ahead
                ahead = chosen.dropFirst(index + 1).first.flatMap { start($0.number, $0.seed) }
                let row = output.map { finding(in: read($0)) } ?? nil
                if row == nil { survivors += 1 }
                if let seed = row?.seed { seeds.insert(seed) }
                let columns = row?.columns ?? "SURVIVED \(limit) seeds"
                print("\(padded("M\(mutant.number)", 8))\(padded(columns, 23)) \(mutant.text)")
                fflush(nil)
            }
            for mutant in Mutant.notHere where only == 0 {
                print("\(padded("M\(mutant.number)", 8))not here: \(mutant.text)")
            }
            let alarms = falseAlarms(seeds)
            for seed in alarms { print("SIM FAIL seed \(seed) finds something without any mutant, too") }
            print("\(chosen.count) mutants, \(survivors) survived, \(alarms.count) false alarms")
            return survivors == 0 && alarms.isEmpty ? 0 : 1
        }

        /// What finds something in sources without a bug proves nothing.
        private func falseAlarms(_ seeds: Set<UInt64>) -> [UInt64] {
            Self.choose(0)
            return seeds.sorted().filter { seed in
                let world = World(Scenario.make(seed: seed))
                world.run()
                return world.verdict.finding != nil
            }
        }

        /// Its seed of the last time first, then the others.
        private func start(_ mutant: Int, _ seed: UInt64) -> Pipe? {
            let path = "/proc/\(getpid())/exe --mutant \(mutant)"
            let known = seed > 0 ? "timeout 60 \(path) --from \(seed) --seeds 1 && " : ""
            return popen("(\(known)timeout 1800 \(path) --seeds \(limit)) 2>&1", "r")
        }

        private func read(_ output: Pipe) -> String {
            defer { pclose(output) }
            var bytes: [UInt8] = []
            while case let byte = fgetc(output), byte != EOF {
                bytes.append(UInt8(truncatingIfNeeded: byte))
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        /// Oracle, seed and event of the first finding; `nil` for none. A run without an end is one.
        private func finding(in text: String) -> (columns: String, seed: UInt64?)? {
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("SIM FAIL ") }) else {
                return text.contains(" seeds, ") ? nil : ("no end  -      -", nil)
            }
            let words = line.split(separator: " ").map(String.init)
            let event = words.first { $0.hasPrefix("event=") }?.dropFirst(6) ?? "-"
            let seed = words.firstIndex(of: "--seed").map { words[$0 + 1] } ?? "-"
            return (padded(words[2], 8) + padded(seed, 7) + padded(String(event), 8), UInt64(seed))
        }

        private func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.utf8.count))
        }
    }
#endif
