package import Auth
package import Primitives

/// A session with an application.
package struct ClientSession: ~Copyable {
    package enum Phase: Equatable, Sendable {
        /// Nothing is known of it. *Leads to:* authenticating, awaitingWelcome, idle, console, cancelRequest.
        case startup
        /// Its password is being checked. *Leads to:* awaitingWelcome, idle, console.
        case authenticating
        /// Let in, but no server of its pool has told yet what to greet it with. *Leads to:* idle.
        case awaitingWelcome
        /// Logged in, without a server. *Leads to:* waiting, active.
        case idle
        /// In line for a server. *Leads to:* active, skipping, idle.
        case waiting
        /// A server is its own. *Leads to:* idle.
        case active(ServerID)
        /// Its request was cancelled in line: the rest of the batch is skipped up to Sync. *Leads to:* idle.
        case skipping
        /// Speaks to the admin console.
        case console
        /// Carries a cancel request; closed when that has been dealt with.
        case cancelRequest
    }

    package var phase = Phase.startup
    /// Number of the connection, one count for all of the process (`id` in SHOW CLIENTS).
    package let number: UInt64
    package let peer: SocketAddress
    package let local: SocketAddress
    package var holds: Holds = []

    package var database: DatabaseID?
    package var user: UserID?
    package var pool: PoolID?
    package var login: ClientLogin?
    /// The first eight bytes of its cancel key (process and four bytes of secret); 0 before login.
    package var key: UInt64 = 0
    /// The rest of a protocol 3.2 secret.
    package var longSecret: ByteString?

    /// Bytes of the current message that have not been read yet; they go to its server.
    package var restBytes = 0
    /// Bytes of the current message that have not been read yet; nobody gets them.
    package var skipBytes = 0
    package var parameters: ParameterSetID
    /// Names of prepared statements; `nil` until it uses one.
    package var statements: ClientStatements?
    /// The statement its unnamed one stands for, or `ExpectedReply.none`.
    package var unnamed = ExpectedReply.none
    /// Why it keeps its server beyond the transaction.
    package var pin: StaticString?

    package var consoleRights = ConsoleRights.stats
    /// The socket's send queue holds bytes for this client.
    package var isCongested = false
    /// For `.cancelRequest`: the server whose query is being cancelled.
    package var cancelTarget: ServerID?

    package let connectedAt: Instant
    package var requestAt: Instant
    /// Since when it stands in line, its query runs, its transaction is open; `zero` for not.
    package var waitingSince = Instant.zero
    package var querySince = Instant.zero
    package var transactionSince = Instant.zero
    package var timerAt = Instant.never
    package var wasNotified = false
    /// It was cancelled in line: its next request is answered with that error.
    package var cancelsNext = false

    package init(number: UInt64, peer: SocketAddress, local: SocketAddress, parameters: ParameterSetID, now: Instant) {
        self.number = number
        self.peer = peer
        self.local = local
        self.parameters = parameters
        connectedAt = now
        requestAt = now
    }

    package var server: ServerID? {
        if case .active(let server) = phase { return server }
        return nil
    }

    /// Past login, as an application.
    package var isLoggedIn: Bool {
        switch phase {
        case .idle, .waiting, .active, .skipping: true
        case .startup, .authenticating, .awaitingWelcome, .console, .cancelRequest: false
        }
    }
}

/// What a console client may do.
package enum ConsoleRights: Equatable, Sendable { case admin, stats }

/// What a client's login needs, gone once it is through.
package final class ClientLogin {
    package var user: ByteString = ""
    package var database: ByteString = ""
    /// What it asked for at start-up, of the parameters that are followed.
    package var wishes: ParameterSetID?
    package var auth: ClientAuth?
    package var keys: ScramKeys?
    /// Minor version of the protocol in use, after negotiation.
    package var minorVersion: UInt16 = 0
    package var sslAsked = false
    package var gssAsked = false
    /// The console lets it in without a password.
    package var isConsoleOwner = false
    package init() {}
}
