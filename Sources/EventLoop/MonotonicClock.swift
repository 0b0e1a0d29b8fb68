import CLinux
package import Primitives

/// The kernel's clock that never jumps, read without a system call.
package enum MonotonicClock {
    @inline(__always)
    package static func now() -> Instant { Instant(nanoseconds: linux_monotonic_nanoseconds()) }
}

/// The clock on the wall, for log lines and `SHOW` only.
package enum SystemTime {
    /// Since 1970.
    package static func nanoseconds() -> UInt64 { linux_wall_nanoseconds() }
    /// Since 1970.
    package static func seconds() -> Double { Double(linux_wall_nanoseconds()) / 1e9 }

    /// What the local zone is ahead of UTC now, in seconds, and its short name.
    package static func zone() -> (offsetSeconds: Int, name: ByteString) {
        let now = Int64(seconds())
        var room = [CChar](repeating: 0, count: 64)
        let count = linux_local_time(now, &room, room.count)
        let bytes = room.prefix(Int(count)).map { UInt8(bitPattern: $0) }
        let name = bytes.lastIndex(of: 0x20).map { Array(bytes[($0 + 1)...]) } ?? []
        return (linux_zone_offset(now), ByteString(name))
    }
}

/// Secrets from the kernel.
package struct KernelEntropy: Entropy, Sendable {
    package init() {}

    package mutating func bytes(_ count: Int) -> [UInt8] {
        let wanted = max(0, count)
        return [UInt8](unsafeUninitializedCapacity: wanted) { room, filled in
            while filled < wanted {
                let got = linux_random(room.baseAddress! + filled, wanted - filled)
                // Predictable cancel keys and salts would be worse than no pooler.
                precondition(got > 0 || got == -Int(linux_interrupted), "the kernel gives no random bytes")
                filled += max(0, got)
            }
        }
    }
}
