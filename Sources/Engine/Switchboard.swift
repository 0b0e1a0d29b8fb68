package import Config
package import Primitives

/// The engine of one worker: everything it thinks, and nothing it does.
///
/// Facts come in through the methods below, each with the time as an argument; orders go out through the
/// `ActionList`, which is empty on entry. A link's handle is born here: of a client in `accepted`, of a server in
/// `.open`; it dies with `.close` or `.drop`, or when the world says `ended`.
package struct Switchboard: ~Copyable {
    package init(snapshot: Snapshot, process: ProcessFacts, entropy: any Entropy, now: Instant) {
    }

    // MARK: What the world tells

    /// A client connected. `nil`: there is no room even to say so; close the socket.
    package mutating func accepted(
        peer: SocketAddress, local: SocketAddress, now: Instant, into actions: inout ActionList
    ) -> ClientID? { nil }

    /// Bytes of a link: what was kept of it, and what was read behind that. The number of bytes consumed, from the
    /// front; the driver keeps the rest and offers it again with the next bytes, or after `.resumeReading`.
    /// When nothing is consumed of a full buffer the driver makes room for more; the engine bounds how far.
    package mutating func received(
        _ bytes: ByteView, from link: LinkID, now: Instant, into actions: inout ActionList
    ) -> Int { bytes.count }

    /// A link is gone; its handle is dead after this.
    package mutating func ended(_ link: LinkID, _ end: LinkEnd, now: Instant, into actions: inout ActionList) {}

    /// The connection asked for by `.open` stands. `remote` is the address really used.
    package mutating func serverOpened(
        _ server: ServerID, remote: SocketAddress, local: SocketAddress, now: Instant,
        into actions: inout ActionList
    ) {}

    /// The connection asked for by `.open` failed; its handle is dead after this.
    package mutating func serverFailed(
        _ server: ServerID, _ failure: OpenFailure, now: Instant, into actions: inout ActionList
    ) {}

    /// The kernel took less than was to be written to this link; the rest is queued.
    package mutating func congested(_ link: LinkID, into actions: inout ActionList) {}

    /// Everything queued for this link has been taken.
    package mutating func drained(_ link: LinkID, now: Instant, into actions: inout ActionList) {}

    /// `nextDeadline` has come.
    package mutating func deadlinePassed(now: Instant, into actions: inout ActionList) {}

    /// A new configuration is in force.
    package mutating func reloaded(
        _ snapshot: Snapshot, for console: ClientID?, now: Instant, into actions: inout ActionList
    ) {}

    /// The new configuration was refused; the old one stays. The driver has logged why.
    package mutating func reloadFailed(for console: ClientID?, now: Instant, into actions: inout ActionList) {}

    /// A signal that asks for something.
    package mutating func signalled(_ order: SignalOrder, now: Instant, into actions: inout ActionList) {}

    // MARK: What the driver asks

    /// When `deadlinePassed` wants to be called; `nil` for never.
    package var nextDeadline: Instant? { nil }
}

/// What signals mean, as in PgBouncer.
package enum SignalOrder: Equatable, Sendable {
    case reload  // SIGHUP
    case shutdownWaitForClients  // SIGTERM
    case shutdownWaitForServers  // SIGINT
    case shutdownNow  // SIGQUIT
    case pause  // SIGUSR1
    case resume  // SIGUSR2
}

/// What the engine has to know of the process it runs in.
package struct ProcessFacts: Sendable {
    /// The effective user of the process: its own console logins over a unix socket need no password.
    package var userID: UInt32
    package var listenPort: UInt16
    /// First line of `--version`, also the answer of `SHOW VERSION`.
    package var version: ByteString
    /// Wall-clock time of the start in seconds since 1970, and the monotonic instant of the same moment: `SHOW`
    /// prints wall-clock times computed from these.
    package var startSeconds: Double
    package var startInstant: Instant
    package init(
        userID: UInt32, listenPort: UInt16, version: ByteString, startSeconds: Double, startInstant: Instant
    ) {
        self.userID = userID
        self.listenPort = listenPort
        self.version = version
        self.startSeconds = startSeconds
        self.startInstant = startInstant
    }
}
