import Config
import Engine
import Primitives

@testable import Daemon

/// An engine that does what a test tells it to, and notes what it was told.
struct ScriptedEngine: EngineSeam, ~Copyable {
    /// Consumes this many bytes of what is offered, at most; relays them to `target`.
    var appetiteBytes = Int.max
    var target: LinkID?
    var pausesAfterReceiving = false
    var clients = SlotTable<ClientID, Int>()
    var servers = SlotTable<ServerID, Int>()
    var notes: [String] = []
    /// Run in the next event, whatever it is.
    var orders: [Action] = []
    var opening: (server: ServerID, endpoint: Endpoint)?
    var deadline: Instant?

    init() {}

    mutating func obey(_ actions: inout ActionList) {
        if let (server, endpoint) = opening { actions.open(server, endpoint) }
        opening = nil
        for order in orders { actions.append(order) }
        orders = []
    }

    mutating func accepted(
        peer: SocketAddress, local: SocketAddress, now: Instant, into actions: inout ActionList
    ) -> ClientID? {
        notes.append("accepted \(peer.family)")
        obey(&actions)
        return clients.insert(0)
    }

    mutating func received(
        _ bytes: ByteView, from link: LinkID, now: Instant, into actions: inout ActionList
    ) -> Int {
        let used = min(appetiteBytes, bytes.count)
        notes.append("received \(bytes.count) used \(used)")
        if let target { actions.relay(offset: 0, count: used, to: target) }
        if pausesAfterReceiving { actions.append(.pauseReading(link)) }
        obey(&actions)
        return used
    }

    mutating func letterArrived(
        _ letter: Letter, from worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        notes.append("letter from \(worker.index)")
        obey(&actions)
    }

    mutating func workerForNewClient(from peer: SocketAddress) -> WorkerID? { nil }

    mutating func ended(_ link: LinkID, _ end: LinkEnd, now: Instant, into actions: inout ActionList) {
        notes.append("ended \(end)")
        if case .client(let id) = link { clients.remove(id) }
        obey(&actions)
    }

    mutating func serverOpened(
        _ server: ServerID, remote: SocketAddress, local: SocketAddress, now: Instant,
        into actions: inout ActionList
    ) {
        notes.append("opened \(remote.family) \(remote.port)")
        obey(&actions)
    }

    mutating func serverFailed(
        _ server: ServerID, _ failure: OpenFailure, now: Instant, into actions: inout ActionList
    ) {
        notes.append("failed \(failure)")
        obey(&actions)
    }

    mutating func congested(_ link: LinkID, into actions: inout ActionList) {
        notes.append("congested")
        obey(&actions)
    }

    mutating func drained(_ link: LinkID, now: Instant, into actions: inout ActionList) {
        notes.append("drained")
        obey(&actions)
    }

    mutating func deadlinePassed(now: Instant, into actions: inout ActionList) {
        notes.append("deadline")
        deadline = nil
        obey(&actions)
    }

    mutating func reloaded(
        _ snapshot: Snapshot, for console: ClientID?, now: Instant, into actions: inout ActionList
    ) { notes.append("reloaded") }

    mutating func learned(
        _ names: NameReport, moved: [MovedHost], now: Instant, into actions: inout ActionList
    ) {}

    mutating func takeChangedSettings() -> ProcessSettings? { nil }

    mutating func reloadFailed(for console: ClientID?, now: Instant, into actions: inout ActionList) {
        notes.append("reload failed")
    }

    mutating func signalled(_ order: SignalOrder, now: Instant, into actions: inout ActionList) {
        notes.append("signalled")
    }

    var nextDeadline: Instant? { deadline }
    var hasConsoleWork: Bool { false }
    mutating func serveConsole(now: Instant, into actions: inout ActionList) {}
}
