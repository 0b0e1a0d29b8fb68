/// A seeded generator (SplitMix64): the same seed gives the same run. Not for secrets.
public struct Random: Sendable {
    private var state: UInt64
    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state = state &+ 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Evenly from `0..<bound`; 0 when the bound is not positive.
    public mutating func below(_ bound: Int) -> Int {
        bound > 0 ? Int(next().multipliedFullWidth(by: UInt64(bound)).high) : 0
    }
}

/// Where secrets, salts and cancel keys come from: the kernel in the daemon, the seed in the simulator.
public protocol Entropy {
    /// `count` unpredictable bytes.
    mutating func bytes(_ count: Int) -> [UInt8]
}

extension Random: Entropy {
    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<max(0, count)).map { _ in UInt8(truncatingIfNeeded: next() >> 24) }
    }
}
