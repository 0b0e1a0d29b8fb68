public import Primitives

/// The actions of one event, and the bytes they speak of. Reused from event to event: a warm list allocates
/// nothing.
///
/// Neighbouring relays and sends that continue each other are joined.
public struct ActionList: ~Copyable {
    private var list = Stack<Action>(capacity: 32)
    /// Bytes that we wrote: messages for `.send`, texts for `.log`.
    public var scratch = ByteBuffer(capacity: 4096)
    /// What `.post` and `.part` speak of.
    public private(set) var letters: [Letter] = []
    /// Room kept from event to event, in bytes.
    private static var scratchKeptBytes: Int { 64 * 1024 }

    public init() {}

    public var count: Int { list.count }
    public subscript(index: Int) -> Action { list[index] }

    /// A copy of the whole list, for comparing and printing.
    public var actions: [Action] { (0..<count).map { list[$0] } }

    public mutating func append(_ action: Action) { list.append(action) }

    public mutating func relay(offset: Int, count: Int, to link: LinkID) {
        guard count > 0 else { return }
        let last = list.count &- 1
        if last >= 0, case .relay(var range, let previous) = list[last], previous == link, range.end == offset
        {
            range.count &+= UInt32(truncatingIfNeeded: count)
            list[last] = .relay(range, to: link)
        } else {
            append(.relay(ByteRange(offset: offset, count: count), to: link))
        }
    }

    /// Whether bytes for this link stand in the list: it is not known yet whether the kernel takes them.
    func hasBytes(for link: LinkID) -> Bool {
        for index in 0..<list.count {
            if case .relay(_, link) = list[index] { return true }
            if case .send(_, link) = list[index] { return true }
        }
        return false
    }

    /// Sends what `body` writes.
    public mutating func send(to link: LinkID, _ body: (inout ByteBuffer) -> Void) {
        let start = scratch.count
        body(&scratch)
        let written = scratch.count - start
        guard written > 0 else { return }
        let last = list.count &- 1
        if last >= 0, case .send(var range, let previous) = list[last], previous == link, range.end == start {
            range.count &+= UInt32(truncatingIfNeeded: written)
            list[last] = .send(range, to: link)
        } else {
            append(.send(ByteRange(offset: start, count: written), to: link))
        }
    }

    /// Opens a connection for this server.
    public mutating func open(_ server: ServerID, _ endpoint: Endpoint) {
        let start = scratch.count
        endpoint.host.withView { scratch.append($0) }
        append(
            .open(server, host: ByteRange(offset: start, count: scratch.count - start), port: endpoint.port))
    }

    /// Encrypts a link; the host is that of a server.
    public mutating func startTLS(_ link: LinkID, host: ByteString = "", isDirect: Bool = false) {
        let start = scratch.count
        scratch.append(host)
        let range = ByteRange(offset: start, count: scratch.count - start)
        append(.startTLS(link, host: range, isDirect: isDirect))
    }

    /// What an `.open` of this list speaks of.
    public func endpoint(_ host: ByteRange, _ port: UInt16) -> Endpoint {
        Endpoint(host: ByteString(scratch.view(host)), port: port)
    }

    public mutating func log(_ level: LogLevel, _ body: (inout ByteBuffer) -> Void) {
        let start = scratch.count
        body(&scratch)
        append(.log(level, ByteRange(offset: start, count: scratch.count - start)))
    }

    public subscript(index: LetterIndex) -> Letter { letters[Int(index.place)] }

    mutating func write(_ letter: Letter) -> LetterIndex {
        letters.append(letter)
        return LetterIndex(place: UInt32(letters.count - 1))
    }

    public mutating func post(_ letter: Letter, to worker: WorkerID) {
        append(.post(write(letter), to: worker))
    }

    public mutating func removeAll() {
        if !letters.isEmpty { letters.removeAll() }
        list.removeAll()
        scratch.removeAll(keeping: Self.scratchKeptBytes)
    }
}
