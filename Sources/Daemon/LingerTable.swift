import CLinux
import EventLoop
import Primitives

/// Sockets whose links are dead but which still owe their peers a last message: what is queued is delivered,
/// our side is closed, and some input is read away, because a socket closed with unread input resets the
/// connection and may take our last message with it. All of it bounded in time, bytes and number.
struct LingerTable: ~Copyable {
    /// More sockets than this are closed at once.
    static var limit: Int { 1024 }
    static var deliveryTime: TimeSpan { .seconds(5) }
    static var drainTime: TimeSpan { .seconds(1) }
    static var drainLimitBytes: Int { 64 * 1024 }

    private struct Lingering {
        var descriptor: Int32 = -1
        /// Changes with every socket in this place, so that a stale event is noticed.
        var stamp: UInt16 = 0
        var owed: Block?
        var deadline = Instant.never
        var drainedBytes = 0
    }

    private var sockets: [Lingering] = []
    private var free: [Int] = []
    private(set) var nextDeadline: Instant?

    var count: Int { sockets.count - free.count }

    /// Takes a socket over, and closes it in the end; `false` when there is no need or no room, and the
    /// caller is to close it.
    mutating func take(_ descriptor: Int32, owed: Block?, _ poller: borrowing Poller, _ now: Instant) -> Bool
    {
        if owed == nil {
            guard linux_unread_bytes(descriptor) > 0 else { return false }
            guard linux_shutdown_writes(descriptor) == 0 else { return false }
        }
        guard let place = free.popLast() ?? grow() else { return false }
        let stamp = sockets[place].stamp &+ 1
        let deadline = now + (owed == nil ? Self.drainTime : Self.deliveryTime)
        sockets[place] = Lingering(descriptor: descriptor, stamp: stamp, owed: owed, deadline: deadline)
        nextDeadline = min(nextDeadline ?? .never, deadline)
        let word = EventWord.lingering(place: place, stamp: stamp).word
        poller.watch(descriptor, owed == nil ? .readable : .writable, word: word)
        return true
    }

    private mutating func grow() -> Int? {
        guard sockets.count < Self.limit else { return nil }
        sockets.append(Lingering())
        return sockets.count - 1
    }

    mutating func handle(
        _ place: Int, _ stamp: UInt16, _ what: Interest, room: UnsafeMutableRawPointer,
        _ poller: borrowing Poller, _ blocks: inout BlockStore, _ now: Instant
    ) {
        guard place < sockets.count, sockets[place].stamp == stamp, sockets[place].descriptor >= 0 else {
            return
        }
        if let owed = sockets[place].owed {
            deliver(owed, place, poller, &blocks, now)
        } else {
            drain(place, room, &blocks)
        }
    }

    private mutating func deliver(
        _ owed: Block, _ place: Int, _ poller: borrowing Poller, _ blocks: inout BlockStore, _ now: Instant
    ) {
        let view = owed.view
        switch Stream.send(sockets[place].descriptor, view.base, view.count) {
        case .moved(let count): owed.consume(count)
        case .wouldBlock: return
        case .failed: return finish(place, &blocks)
        }
        guard owed.count == 0 else { return }
        blocks.give(owed)
        sockets[place].owed = nil
        guard linux_shutdown_writes(sockets[place].descriptor) == 0 else { return finish(place, &blocks) }
        sockets[place].deadline = now + Self.drainTime
        nextDeadline = min(nextDeadline ?? .never, sockets[place].deadline)
        let word = EventWord.lingering(place: place, stamp: sockets[place].stamp).word
        poller.change(sockets[place].descriptor, .readable, word: word)
    }

    private mutating func drain(_ place: Int, _ room: UnsafeMutableRawPointer, _ blocks: inout BlockStore) {
        switch Stream.receive(sockets[place].descriptor, into: room, 16 * 1024) {
        case .moved(let count) where count > 0:
            sockets[place].drainedBytes += count
            if sockets[place].drainedBytes > Self.drainLimitBytes { finish(place, &blocks) }
        case .moved, .failed: finish(place, &blocks)
        case .wouldBlock: return
        }
    }

    /// Closes those whose time is over.
    mutating func sweep(_ blocks: inout BlockStore, _ now: Instant) {
        var soonest = Instant.never
        for place in sockets.indices where sockets[place].descriptor >= 0 {
            if sockets[place].deadline <= now {
                finish(place, &blocks)
            } else {
                soonest = min(soonest, sockets[place].deadline)
            }
        }
        nextDeadline = soonest == .never ? nil : soonest
    }

    private mutating func finish(_ place: Int, _ blocks: inout BlockStore) {
        _ = linux_close(sockets[place].descriptor)
        if let owed = sockets[place].owed { blocks.give(owed) }
        sockets[place].owed = nil
        sockets[place].descriptor = -1
        free.append(place)
    }
}
