public import Auth
public import Primitives
public import Wire

/// A session with PostgreSQL: what it owes, what it has, whom it serves.
public struct ServerSession: ~Copyable {
    public enum Phase: Equatable, Sendable {
        /// The connection is being made. *Leads to:* askingForTLS, loggingIn, cancelRequest.
        case connecting
        /// The SSLRequest is out. *Leads to:* shakingHands, loggingIn.
        case askingForTLS
        /// The TLS handshake goes on. *Leads to:* loggingIn, cancelRequest.
        case shakingHands
        /// The StartupMessage is out. *Leads to:* ready, replicating.
        case loggingIn
        /// Logged in: what it does is in its pool's lists, what it owes in `replies`.
        case ready
        /// Logged in for one replication client; closed with it.
        case replicating
        /// Carries one cancel request, then ends.
        case cancelRequest
    }

    /// What a query of our own is for, while nobody's client waits for it.
    public enum Errand: Equatable, Sendable {
        case none
        /// `connect_query`, before the first use.
        case connect
        /// `server_check_query`, after a rest.
        case check
        /// `server_reset_query`, between two clients.
        case reset
        /// An empty query behind a cancel request: what the cancel was to hit is over when it is answered.
        case fence
        /// auth_query, for clients that are logging in.
        case lookup
    }

    /// What to do with the rest of the message whose front has been read.
    public enum Rest: Equatable, Sendable { case relay, swallow }

    public var phase = Phase.connecting
    /// Number of the connection, one count for all of the process (`id` in SHOW SERVERS).
    public let number: UInt64
    public let pool: PoolID
    public let endpoint: Endpoint
    /// Whom it serves now.
    public var client: ClientID?
    /// Counts assignments, so that a cancel meant for an earlier one is noticed (I6).
    public var epoch: UInt64 = 0
    public var holds: Holds = []

    public var replies = ExpectedReplies()
    public var statements = ServerStatements()
    public var parameters: ParameterSetID
    public var status = TransactionStatus.idle
    public var errand = Errand.none
    /// A SET of ours in front of the client's requests has not been answered yet.
    public var awaitsParameters = false
    /// Syncs sent ahead of a CopyInResponse, and so never answered, in the exchange that runs now.
    public var syncsCrossedOut = 0
    /// After a copy that failed: ReadyForQuery messages that may still come for Syncs sent ahead of it.
    /// Nobody can know whether the server had read those inside the copy; such a server is not given to
    /// another client.
    public var strayReadies = 0
    /// It has told its client that it ends the session: nothing may follow that (FATAL).
    public var saidFatal = false
    /// Part of a client's message was passed on and the rest will not come: only the end may follow (I4).
    public var hasPartOfRequest = false
    /// Bytes of the current message that have not been read yet, and what becomes of them.
    public var restBytes = 0
    public var rest = Rest.relay
    /// Bytes of it that the driver keeps because they are not a whole message yet.
    public var unreadBytes = 0
    /// The sockets' send queue holds bytes for this server.
    public var isCongested = false

    /// Why it must not be used again; once set it stays (I3).
    public private(set) var poison: StaticString?
    /// It is to be closed as soon as it is free (`close_needed`), and why.
    public var retirement: StaticString?
    /// Cancel requests for it that are on their way.
    public var cancels = 0
    /// A cancel was delivered since the last fence.
    public var needsFence = false

    public var remote: SocketAddress?
    public var local: SocketAddress?
    public var processID: UInt32 = 0
    public var secret: ByteString = ""
    public var login: ServerLogin?
    /// `nil` for a link in the clear.
    public var encryption: Encryption?
    /// Of a replication connection.
    public var replication: Replication?
    /// For the errand `lookup`: which one.
    public var lookup: LookupID?
    /// For `.cancelRequest`: the server the request is for.
    public var victim: ServerID?
    /// For `.cancelRequest`: what the peer at the other end is told.
    public var forwarded: ForwardedCancel?

    public let openedAt: Instant
    public var requestAt: Instant
    /// When it became idle, or the last reply came.
    public var restingSince: Instant
    public var timerAt = Instant.never

    public init(number: UInt64, pool: PoolID, endpoint: Endpoint, parameters: ParameterSetID, now: Instant) {
        self.number = number
        self.pool = pool
        self.endpoint = endpoint
        self.parameters = parameters
        openedAt = now
        requestAt = now
        restingSince = now
    }

    public mutating func poison(_ reason: StaticString) {
        if poison == nil { poison = reason }
    }

    /// Notes a request that has been sent.
    @inlinable
    public mutating func expect(_ reply: ExpectedReply, now: Instant) {
        replies.expect(reply)
        requestAt = now
    }

    /// Part of a message has gone to the client and the rest has not come: no word of ours may stand behind
    /// it (I4).
    @inlinable public var isInRelayedMessage: Bool {
        @inline(__always) get { restBytes > 0 && rest == .relay }
    }

    /// The release rule (I2), all of it that is known here; the caller adds that no part of a client's
    /// message has been passed on and that nothing is left in the receive buffer.
    @inlinable public var isFree: Bool {
        // Inlined, as all that reads a session: a call would copy the whole of it first.
        @inline(__always) get {
            phase == .ready && replies.isSettled && status == .idle && restBytes == 0 && unreadBytes == 0
                && !isCongested && cancels == 0 && !awaitsParameters
        }
    }
}

/// What a server's login needs, gone once it is through.
public final class ServerLogin {
    public var auth: ServerAuth
    /// The password of a program or a file has been put into `auth`.
    public var hasPassword = false
    /// AuthenticationOk has come, and was in order.
    public var isIn = false
    /// ParameterStatus messages as they came, for the pool's welcome.
    public var welcome: [(name: ByteString, value: ByteString)] = []
    public init(auth: ServerAuth) { self.auth = auth }
}
