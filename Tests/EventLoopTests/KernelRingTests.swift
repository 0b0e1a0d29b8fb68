import CLinux
import EventLoop
import Primitives
import Testing

/// What only shows when the kernel has more to tell than there is room for.
@Suite struct KernelRingTests {
    private func pair() -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        #expect(linux_socket_pair(&ends) == 0)
        return (ends[0], ends[1])
    }

    /// Where the kernel gives none there is nothing to see.
    private static let isHere = KernelRing(wanted: true).isOn

    /// A send that fails while completions wait for room must be known before its bytes are forgotten.
    @Test(.enabled(if: isHere)) func aFailureIsNotMissedWhenThereIsNoRoomToTellIt() throws {
        var ring = KernelRing(wanted: true, requests: 8, completions: 8)
        #expect(ring.start() == 0)
        let talkers = (0..<8).map { _ in pair() }
        let full = (0..<8).map { _ in pair() }
        defer {
            for (one, other) in talkers + full {
                _ = linux_close(one)
                _ = linux_close(other)
            }
        }
        let bytes: [UInt8] = Array(repeating: 0x78, count: 4096)
        // Nobody reads from these: they are full.
        for (one, _) in full { while linux_send(one, bytes, bytes.count) > 0 {} }
        for (place, ends) in talkers.enumerated() {
            ring.receive(ends.0, word: 1 << 32 | UInt64(place))
        }
        ring.submit()
        for (_, other) in talkers { #expect(linux_send(other, bytes, 3) == 3) }
        ring.submit()
        #expect(ring.ready == 8)
        // Nobody has taken what these have said, and now eight sends fail.
        bytes.withUnsafeBytes { bytes in
            for (place, ends) in full.enumerated() {
                let piece = linux_piece(base: bytes.baseAddress, count: 10 + place)
                withUnsafePointer(to: piece) {
                    ring.send(ends.0, $0, 1, bytes: 10 + place, word: 1 << 32 | UInt64(100 + place))
                }
            }
        }
        ring.submit()
        var failed: [UInt64: Int] = [:]
        while let failure = ring.takeFailure() {
            #expect(failure.result == -Int(linux_again))
            failed[failure.word & 0xFFFF] = failure.bytes.count
        }
        for place in 0..<8 { #expect(failed[UInt64(100 + place)] == 10 + place) }
        // What was said before is still there, each once and in order.
        var said: [UInt64] = []
        while ring.ready > 0 {
            let done = ring.take()
            if done.word & 1 << 32 != 0 { said.append(done.word & 0xFFFF) }
        }
        #expect(said == Array(UInt64(0)..<8))
    }
}
