#if MUTANTS
import Glibc
import Primitives
import Simulator

/// Runs the seeds on bugs put back on purpose (Tests/Mutants): every one must be found. Each runs in a process
/// of its own, because some of them end it.
struct Mutants {
    /// How many seeds a mutant may survive.
    let seeds: Int
    /// One mutant, or 0 for all.
    let only: Int

    /// From here on this process has that bug.
    static func choose(_ number: Int) { Mutant.current = number }

    func run() -> Int32 {
        var survivors = 0
        let chosen = Mutant.all.filter { only == 0 || $0.number == only }.sorted { $0.number < $1.number }
        print("mutant  oracle  seed   event   what is wrong")
        // Two at a time: while one is read, the next runs.
        var ahead = chosen.first.flatMap { start($0) }
        for (index, mutant) in chosen.enumerated() {
            let output = ahead
            ahead = index + 1 < chosen.count ? start(chosen[index + 1]) : nil
            let row = output.map { finding(in: read($0)) } ?? nil
            if row == nil { survivors += 1 }
            let columns = row ?? "SURVIVED \(seeds) seeds"
            print("\(padded("M\(mutant.number)", 8))\(padded(columns, 23)) \(mutant.text)")
            fflush(nil)
        }
        if only == 0 {
            for mutant in Mutant.notHere { print("\(padded("M\(mutant.number)", 8))not here: \(mutant.text)") }
        }
        print("\(chosen.count) mutants, \(survivors) survived")
        return survivors == 0 ? 0 : 1
    }

    /// Its seed of the last time first, then the others.
    private func start(_ mutant: (number: Int, seed: UInt64, text: String)) -> UnsafeMutablePointer<FILE>? {
        let path = "/proc/\(getpid())/exe"
        let one = "timeout 60 \(path) --mutant \(mutant.number) --from \(mutant.seed) --seeds 1"
        let many = "timeout 1800 \(path) --mutant \(mutant.number) --seeds \(seeds)"
        let known = mutant.seed > 0 ? "\(one) || " : ""
        return popen("(\(known)\(many)) 2>&1", "r")
    }

    private func read(_ output: UnsafeMutablePointer<FILE>) -> String {
        defer { pclose(output) }
        var bytes: [UInt8] = []
        while case let byte = fgetc(output), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Oracle, seed and event of the first finding; `nil` for none. A run without an end is one.
    private func finding(in text: String) -> String? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("SIM FAIL ") }) else {
            return text.contains(" seeds, ") ? nil : "no end   -      -"
        }
        let words = line.split(separator: " ").map(String.init)
        let event = words.first { $0.hasPrefix("event=") }?.dropFirst(6) ?? "-"
        let seed = words.firstIndex(of: "--seed").map { words[$0 + 1] } ?? "-"
        return padded(words[2], 8) + padded(seed, 7) + padded(String(event), 8)
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.utf8.count))
    }
}
#endif
