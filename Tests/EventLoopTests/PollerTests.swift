import CLinux
import EventLoop
import Primitives
import Testing

private struct NoPoller: Error {}

@Suite struct PollerTests {
    private func pair() -> (Int32, Int32) {
        var ends: (Int, Int) = (0, 0)
        var both: [Int32] = [0, 0]
        ends.0 = linux_socket_pair(&both)
        #expect(ends.0 == 0)
        return (both[0], both[1])
    }

    @Test func readinessCarriesTheWord() throws {
        guard let poller = Poller() else { throw NoPoller() }
        let (near, far) = pair()
        let a = Socket(owning: near)
        let b = Socket(owning: far)
        poller.add(a.descriptor, [.readable, .peerGone], word: 0xFEED_0000_0000_0001)
        var count = poller.blockingWaitForWork(.zero)
        #expect(count == 0)
        #expect(Stream.send(b.descriptor, "x", 1) == .moved(1))
        count = poller.blockingWaitForWork(nil)
        #expect(count == 1)
        var event = poller[0]
        #expect(event.word == 0xFEED_0000_0000_0001)
        event = poller[0]
        #expect(event.what == .readable)
        poller.change(a.descriptor, .peerGone, word: 7)
        count = poller.blockingWaitForWork(.zero)
        #expect(count == 0)
        _ = linux_shutdown_writes(b.descriptor)
        count = poller.blockingWaitForWork(.seconds(1))
        #expect(count == 1)
        event = poller[0]
        #expect(event.word == 7)
        event = poller[0]
        #expect(event.what.contains(.peerGone))
    }

    @Test func waitingEndsInTimeAndNotEarly() throws {
        guard let poller = Poller() else { throw NoPoller() }
        let before = MonotonicClock.now()
        let count = poller.blockingWaitForWork(.microseconds(2500))
        #expect(count == 0)
        #expect(MonotonicClock.now().since(before) >= .microseconds(2500))
    }

    @Test func transfersSayWhatHappened() {
        let (near, far) = pair()
        let a = Socket(owning: near)
        var room: [UInt8] = [0, 0]
        #expect(Stream.receive(a.descriptor, into: &room, 2) == .wouldBlock)
        _ = linux_close(far)
        #expect(Stream.receive(a.descriptor, into: &room, 2) == .moved(0))
        #expect(Stream.send(a.descriptor, "x", 1) != .moved(1))
    }

    @Test func entropyGivesWhatIsAskedFor() {
        var entropy = KernelEntropy()
        #expect(entropy.bytes(0).isEmpty)
        #expect(entropy.bytes(40).count == 40)
        #expect(entropy.bytes(16) != entropy.bytes(16))
    }
}
