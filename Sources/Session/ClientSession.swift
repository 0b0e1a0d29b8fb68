public import Auth
public import Config
public import Primitives

/// A session with an application.
public struct ClientSession: ~Copyable {
    public enum Phase: Equatable, Sendable {
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
        /// Has a server of its own for as long as it stays; see `replication`.
        case replicating
        /// Speaks to the admin console.
        case console
        /// Carries a cancel request; closed when that has been dealt with.
        case cancelRequest
    }

    public var phase = Phase.startup
    /// Number of the connection, one count for all of the process (`id` in SHOW CLIENTS).
    public let number: UInt64
    /// Where it is; of a client behind a proxy that is believed, what that says.
    public var peer: SocketAddress
    public let local: SocketAddress
    public var holds: Holds = []

    public var database: DatabaseID?
    public var user: UserID?
    public var pool: PoolID?
    public var login: ClientLogin?
    /// `nil` for a link in the clear.
    public var encryption: Encryption?
    /// Of a replication connection.
    public var replication: Replication?
    /// The first eight bytes of its cancel key (process and four bytes of secret); 0 before login.
    public var key: UInt64 = 0
    /// The rest of a protocol 3.2 secret.
    public var longSecret: ByteString?

    /// Bytes of the current message that have not been read yet; they go to its server.
    public var restBytes = 0
    /// Bytes of the current message that have not been read yet; nobody gets them.
    public var skipBytes = 0
    /// Part of a message is still to come, and what becomes of it is settled.
    @inlinable public var isInMessage: Bool {
        @inline(__always) get { restBytes | skipBytes != 0 }
    }
    public var parameters: ParameterSetID
    /// Names of prepared statements; `nil` until it uses one.
    public var statements: ClientStatements?
    public var unnamed = UnnamedStatement()

    /// It counts as one of `max_client_conn`; with several workers the keeper must be asked.
    public var isGuest = false
    /// A proxy is to say first where it is.
    public var awaitsHeader = false
    /// Its address counts it, here or, for a mate, at the keeper.
    public var isCounted = false
    /// It has not proved yet who it is.
    public var isStranger = true
    public var consoleRights = ConsoleRights.stats
    /// A console client that is the next process of ours, and can read the state of sessions.
    public var knowsHeirlooms = false
    /// The socket's send queue holds bytes for this client.
    public var isCongested = false
    /// For `.cancelRequest`: the server whose query is being cancelled.
    public var cancelTarget: ServerID?
    /// For `.cancelRequest`: what a peer is told.
    public var forwarded: ForwardedCancel?

    public let connectedAt: Instant
    public var requestAt: Instant
    /// Since when it stands in line, its query runs, its transaction is open; `zero` for not.
    public var waitingSince = Instant.zero
    public var querySince = Instant.zero
    public var transactionSince = Instant.zero
    public var timerAt = Instant.never
    public var wasNotified = false
    /// It was cancelled in line: its next request is answered with that error.
    public var cancelsNext = false
    /// It has prepared a statement that may drop others.
    public var preparesDropping = false
    /// Its request may drop statements and has been passed on in part: held when the rest has been, too.
    public var waitsBehindRest = false
    /// It is held until everything it has asked for is answered, not only some of it.
    public var waitsForAll = false

    public init(
        number: UInt64, peer: SocketAddress, local: SocketAddress, parameters: ParameterSetID, now: Instant
    ) {
        self.number = number
        self.peer = peer
        self.local = local
        self.parameters = parameters
        connectedAt = now
        requestAt = now
    }

    @inlinable public var server: ServerID? {
        @inline(__always) get {
            if case .active(let server) = phase { return server }
            return phase == .replicating ? replication?.server : nil
        }
    }

    /// Past login, as an application.
    public var isLoggedIn: Bool {
        switch phase {
        case .idle, .waiting, .active, .skipping, .replicating: true
        case .startup, .authenticating, .awaitingWelcome, .console, .cancelRequest: false
        }
    }
}

/// What a console client may do.
public enum ConsoleRights: Equatable, Sendable { case admin, stats }

/// What a client's unnamed statement stands for. As with names (`ClientStatements`), a change takes effect
/// when the server has reached it; until then it is pending, in one segment of the pipeline.
public struct UnnamedStatement: Sendable {
    /// In place of a statement: its text was too long to remember. The client keeps the server that has it.
    public static let tooLong = UInt32.max - 2

    /// A statement, `ExpectedReply.none`, or `tooLong`.
    public var committed = ExpectedReply.none
    public var pending = ExpectedReply.none
    public var segment: UInt32 = 0
    public var changes: UInt32 = 0

    public init() {}

    /// Only the server it was sent to knows it.
    public var isPinned: Bool { committed == Self.tooLong || pending == Self.tooLong }

    /// There is no such statement, and none to come.
    public var isAbsent: Bool { committed == ExpectedReply.none && changes == 0 }

    /// What it means to a request in this segment; `nil` while an earlier one is in doubt.
    public func meaning(segment: UInt32) -> UInt32? {
        if changes == 0 { return committed }
        return self.segment == segment ? pending : nil
    }
}

/// Who is asked whether a password in clear text is right.
public enum PasswordJudge: Equatable, Sendable {
    case ldap(LDAPOptions)
    case pam(service: ByteString)
}

/// What a client's login needs, gone once it is through.
public final class ClientLogin {
    public var user: ByteString = ""
    public var database: ByteString = ""
    /// What it asked for at start-up, of the parameters that are followed.
    public var wishes: ParameterSetID?
    public var auth: ClientAuth?
    public var keys: ScramKeys?
    public var method = ClientMethod.trust
    /// The line of the HBA file that decided, for the log.
    public var rule: ByteString?
    /// For `peer`: the map that translates the system's name.
    public var map: ByteString?
    /// Who says whether its password is right.
    public var judge: PasswordJudge?
    /// What was found out of the host it comes from, for rules that name hosts.
    public var host = HostName.notAsked
    /// The helpers' job that it waits for.
    public var job: UInt64?
    /// What auth_query says of the user is being waited for.
    public var lookup: LookupID?
    public var lookupSince = Instant.zero
    /// The lookup whose answer it is being held against.
    public var usedLookup: LookupID?
    /// That answer had been given to somebody else before: the secret may be another one by now.
    public var isAnswerOld = false
    /// It has failed against an old answer, and what it sent waits to be held against a new one.
    public var isRepeated = false
    /// Its secret as auth_query told it, or the password that it has typed and somebody has judged.
    public var lookedUp: Secret?
    /// The lookup said that there is no such user; the client is taken through the exchange all the same.
    public var isUnknown = false
    /// Some users of its database are known to auth_query only: what a failed login says must not tell which.
    public var mayBeLookedUp = false
    /// Minor version of the protocol in use, after negotiation.
    public var minorVersion: UInt16 = 0
    /// It asked for a replication connection.
    public var replication: Replication?
    public var sslAsked = false
    public var gssAsked = false
    /// The keeper has been asked about this client and has not answered yet.
    public var isAskedFor = false
    /// The console lets it in without a password.
    public var isConsoleOwner = false
    public init() {}
}
