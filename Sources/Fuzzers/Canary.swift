import Primitives

/// Fuzzers that must fail: when they do not, nothing that the others say can be believed.
enum Canary {
    static let word = Array("canary".utf8)

    /// A finding as soon as the word stands anywhere.
    static func sings(_ bytes: Bytes) -> Verdict {
        contains(bytes) ? .finding("the canary sings, as it should") : .fine
    }

    /// A trap as soon as the word stands anywhere.
    static func dies(_ bytes: Bytes) -> Verdict {
        precondition(!contains(bytes), "the canary dies, as it should")
        return .fine
    }

    private static func contains(_ bytes: Bytes) -> Bool {
        guard bytes.count >= word.count else { return false }
        return (0...bytes.count - word.count).contains { bytes[$0...].starts(with: word) }
    }
}
