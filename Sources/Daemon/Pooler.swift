import Config
import Console
import Engine
import EventLoop
import Primitives
import Session

/// The switchboard and the console beside it: what a worker drives.
struct Pooler: ~Copyable, EngineSeam {
    private var switchboard: Switchboard
    private var desk: ConsoleDesk
    /// What the driver knows of.
    private var known: Snapshot
    /// When the period began whose predecessor the service manager knows of.
    private var statsPeriodStart: Instant

    init(
        _ switchboard: consuming Switchboard, clock: WallClock, preview: @escaping ConfigurationPreview,
        secure: @escaping TLSChange
    ) {
        known = switchboard.snapshot
        statsPeriodStart = switchboard.statsPeriodStart
        self.switchboard = switchboard
        desk = ConsoleDesk(clock: clock, preview: preview, secure: secure)
    }

    mutating func accepted(
        peer: SocketAddress, local: SocketAddress, now: Instant, into actions: inout ActionList
    ) -> ClientID? {
        switchboard.accepted(peer: peer, local: local, now: now, into: &actions)
    }

    mutating func received(
        _ bytes: ByteView, from link: LinkID, now: Instant, into actions: inout ActionList
    ) -> Int {
        switchboard.received(bytes, from: link, now: now, into: &actions)
    }

    mutating func ended(_ link: LinkID, _ end: LinkEnd, now: Instant, into actions: inout ActionList) {
        switchboard.ended(link, end, now: now, into: &actions)
    }

    mutating func serverOpened(
        _ server: ServerID, remote: SocketAddress, local: SocketAddress, now: Instant,
        into actions: inout ActionList
    ) {
        switchboard.serverOpened(server, remote: remote, local: local, now: now, into: &actions)
    }

    mutating func serverFailed(
        _ server: ServerID, _ failure: OpenFailure, now: Instant, into actions: inout ActionList
    ) {
        switchboard.serverFailed(server, failure, now: now, into: &actions)
    }

    mutating func secured(
        _ link: LinkID, _ encryption: Encryption, now: Instant, into actions: inout ActionList
    ) {
        switchboard.secured(link, encryption, now: now, into: &actions)
    }

    mutating func congested(_ link: LinkID, into actions: inout ActionList) {
        switchboard.congested(link, into: &actions)
    }

    mutating func drained(_ link: LinkID, now: Instant, into actions: inout ActionList) {
        switchboard.drained(link, now: now, into: &actions)
    }

    mutating func deadlinePassed(now: Instant, into actions: inout ActionList) {
        noteBusyTime()
        switchboard.deadlinePassed(now: now, into: &actions)
        desk.deadlinePassed(&switchboard, now: now, into: &actions)
        if switchboard.statsPeriodStart != statsPeriodStart, !switchboard.crew.isMate {
            statsPeriodStart = switchboard.statsPeriodStart
            ServiceManager.tell(ServiceManager.status(switchboard.statsText))
        }
    }

    mutating func reloaded(
        _ snapshot: Snapshot, for console: ClientID?, now: Instant, into actions: inout ActionList
    ) {
        switchboard.reloaded(snapshot, for: console, now: now, into: &actions)
        known = switchboard.snapshot
    }

    mutating func reloadFailed(for console: ClientID?, now: Instant, into actions: inout ActionList) {
        switchboard.reloadFailed(for: console, now: now, into: &actions)
    }

    mutating func learned(
        _ names: NameReport, moved: [MovedHost], now: Instant, into actions: inout ActionList
    ) {
        switchboard.names = names
        for host in moved { switchboard.moved(host, now: now, into: &actions) }
    }

    mutating func signalled(_ order: SignalOrder, now: Instant, into actions: inout ActionList) {
        switchboard.signalled(order, now: now, into: &actions)
    }

    mutating func letterArrived(
        _ letter: Letter, from worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        switchboard.letterArrived(letter, from: worker, now: now, into: &actions)
    }

    mutating func workerForNewClient(from peer: SocketAddress) -> WorkerID? {
        switchboard.workerForNewClient(from: peer)
    }

    func heirlooms(withState: Bool) -> [Heirloom] { switchboard.heirlooms(withState: withState) }
    var isSuspended: Bool { switchboard.mode == .suspended }

    mutating func inherit(
        _ row: Heirloom, partner: ServerID?, now: Instant, into actions: inout ActionList
    ) -> LinkID? {
        switchboard.inherit(row, partner: partner, now: now, into: &actions)
    }

    mutating func inheritedAll(now: Instant, into actions: inout ActionList) {
        switchboard.inheritedAll(now: now, into: &actions)
    }

    var hasSideJobs: Bool { switchboard.hasSideJobs }
    mutating func takeSideJobs() -> [NumberedSideJob] { switchboard.takeSideJobs() }

    mutating func sideJobDone(
        _ number: UInt64, _ result: SideResult, now: Instant, into actions: inout ActionList
    ) {
        switchboard.sideJobDone(number, result, now: now, into: &actions)
    }

    var nextDeadline: Instant? {
        guard let desk = desk.nextDeadline else { return switchboard.nextDeadline }
        return min(desk, switchboard.nextDeadline ?? desk)
    }
    var hasConsoleWork: Bool { switchboard.hasConsoleWork }

    mutating func serveConsole(now: Instant, into actions: inout ActionList) {
        noteBusyTime()
        desk.serve(&switchboard, now: now, into: &actions)
    }

    mutating func takeChangedSettings() -> ProcessSettings? {
        guard known !== switchboard.snapshot else { return nil }
        known = switchboard.snapshot
        return ProcessSettings(known.global)
    }

    /// What SHOW WORKERS says of this thread.
    private mutating func noteBusyTime() {
        switchboard.busyNanoseconds = Processors.threadNanoseconds
    }
}
