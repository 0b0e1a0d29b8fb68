public import Primitives

/// The actions of one event, and the bytes they speak of. Reused from event to event: a warm list allocates
/// nothing.
///
/// Neighbouring relays and sends that continue each other are joined.
public struct ActionList: ~Copyable {
    public private(set) var actions: [Action] = []
    /// Bytes that we wrote: messages for `.send`, texts for `.log`.
    public var scratch = ByteBuffer(capacity: 4096)
    /// Room kept from event to event, in bytes.
    private static let scratchKeptBytes = 64 * 1024

    public init() { actions.reserveCapacity(32) }

    public mutating func append(_ action: Action) { actions.append(action) }

    public mutating func relay(offset: Int, count: Int, to link: LinkID) {
        guard count > 0 else { return }
        if case .relay(var range, let previous)? = actions.last, previous == link, range.end == offset {
            range.count &+= UInt32(truncatingIfNeeded: count)
            actions[actions.count - 1] = .relay(range, to: link)
        } else {
            actions.append(.relay(ByteRange(offset: offset, count: count), to: link))
        }
    }

    /// Sends what `body` writes.
    public mutating func send(to link: LinkID, _ body: (inout ByteBuffer) -> Void) {
        let start = scratch.count
        body(&scratch)
        let written = scratch.count - start
        guard written > 0 else { return }
        if case .send(var range, let previous)? = actions.last, previous == link, range.end == start {
            range.count &+= UInt32(truncatingIfNeeded: written)
            actions[actions.count - 1] = .send(range, to: link)
        } else {
            actions.append(.send(ByteRange(offset: start, count: written), to: link))
        }
    }

    public mutating func log(_ level: LogLevel, _ body: (inout ByteBuffer) -> Void) {
        let start = scratch.count
        body(&scratch)
        actions.append(.log(level, ByteRange(offset: start, count: scratch.count - start)))
    }

    public mutating func removeAll() {
        actions.removeAll(keepingCapacity: true)
        scratch.removeAll(keeping: Self.scratchKeptBytes)
    }
}
