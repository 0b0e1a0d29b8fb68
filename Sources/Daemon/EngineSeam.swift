import Config
import Engine
import Primitives
import Session

/// The engine as the driver sees it. The switchboard is the one engine of the program; the driver's own tests
/// put a small one in its place. Always specialised, so that the seam costs nothing at run time.
protocol EngineSeam: ~Copyable {
    mutating func accepted(
        peer: SocketAddress, local: SocketAddress, now: Instant, into actions: inout ActionList
    ) -> ClientID?
    mutating func received(
        _ bytes: ByteView, from link: LinkID, now: Instant, into actions: inout ActionList
    ) -> Int
    mutating func ended(_ link: LinkID, _ end: LinkEnd, now: Instant, into actions: inout ActionList)
    mutating func serverOpened(
        _ server: ServerID, remote: SocketAddress, local: SocketAddress, now: Instant,
        into actions: inout ActionList)
    mutating func serverFailed(
        _ server: ServerID, _ failure: OpenFailure, now: Instant, into actions: inout ActionList)
    mutating func secured(
        _ link: LinkID, _ encryption: Encryption, now: Instant, into actions: inout ActionList)
    mutating func congested(_ link: LinkID, into actions: inout ActionList)
    mutating func drained(_ link: LinkID, now: Instant, into actions: inout ActionList)
    mutating func deadlinePassed(now: Instant, into actions: inout ActionList)
    mutating func reloaded(
        _ snapshot: Snapshot, for console: ClientID?, now: Instant, into actions: inout ActionList)
    mutating func reloadFailed(for console: ClientID?, now: Instant, into actions: inout ActionList)
    /// Host names were looked up; servers at addresses that a name has no longer are replaced.
    mutating func learned(
        _ names: NameReport, moved: [MovedHost], now: Instant, into actions: inout ActionList)
    mutating func signalled(_ order: SignalOrder, now: Instant, into actions: inout ActionList)
    /// Of several workers: a letter from another one, and who is to have a new client; `nil` for this worker.
    mutating func letterArrived(
        _ letter: Letter, from worker: WorkerID, now: Instant, into actions: inout ActionList)
    mutating func workerForNewClient(from peer: SocketAddress) -> WorkerID?
    var nextDeadline: Instant? { get }

    /// Console commands wait for somebody who may look at the whole engine; asked after each event.
    var hasConsoleWork: Bool { get }
    mutating func serveConsole(now: Instant, into actions: inout ActionList)
    /// What the driver needs of the configuration, when a console command has changed it since this was asked
    /// last.
    mutating func takeChangedSettings() -> ProcessSettings?

    /// Online restart: what SHOW FDS tells, whether it still holds, and the other process's side of it.
    func heirlooms(withState: Bool) -> [Heirloom]
    var isSuspended: Bool { get }
    mutating func inherit(
        _ row: Heirloom, partner: ServerID?, now: Instant, into actions: inout ActionList
    ) -> LinkID?
    mutating func inheritedAll(now: Instant, into actions: inout ActionList)

    /// Work for the helpers' threads; asked after each event.
    var hasSideJobs: Bool { get }
    mutating func takeSideJobs() -> [NumberedSideJob]
    mutating func sideJobDone(
        _ number: UInt64, _ result: SideResult, now: Instant, into actions: inout ActionList)
}

/// An engine without such work, without TLS, and without a process after it.
extension EngineSeam where Self: ~Copyable {
    func heirlooms(withState: Bool) -> [Heirloom] { [] }
    var isSuspended: Bool { false }
    mutating func inherit(
        _ row: Heirloom, partner: ServerID?, now: Instant, into actions: inout ActionList
    ) -> LinkID? { nil }
    mutating func inheritedAll(now: Instant, into actions: inout ActionList) {}
    var hasSideJobs: Bool { false }
    mutating func takeSideJobs() -> [NumberedSideJob] { [] }
    mutating func sideJobDone(
        _ number: UInt64, _ result: SideResult, now: Instant, into actions: inout ActionList
    ) {}
    mutating func secured(
        _ link: LinkID, _ encryption: Encryption, now: Instant, into actions: inout ActionList
    ) {}
}
