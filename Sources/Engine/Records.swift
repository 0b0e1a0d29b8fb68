public import Auth
public import Config
public import Pool
public import Primitives
public import Session

/// A database that clients ask for by name: its line of the configuration and what is going on in it.
public struct Database: ~Copyable {
    public let name: ByteString
    public var entry: DatabaseEntry
    /// Made for a name that only `*` covers.
    public var isAutomatic: Bool
    /// Its line is gone from the configuration.
    public var isRemoved = false
    /// New servers wait until RESUME.
    public var isPaused = false
    /// New logins are refused until ENABLE.
    public var isDisabled = false
    /// Sessions of servers over all its pools, and of clients.
    public var servers = 0
    public var clients = 0
    /// Where the next connection of a host list goes.
    public var hostCursor = 0
    public var lastUsed: Instant

    public init(name: ByteString, entry: DatabaseEntry, isAutomatic: Bool, now: Instant) {
        self.name = name
        self.entry = entry
        self.isAutomatic = isAutomatic
        lastUsed = now
    }

    /// Its name on the server.
    public var nameOnServer: ByteString { entry.dbname ?? name }
}

/// A role, as clients log in with it or servers are logged in as it.
public struct User: ~Copyable {
    public let name: ByteString
    public var secret: Secret?
    /// SCRAM keys taken from a client's login, for logging in to the server (pass-through).
    public var keys: ScramKeys?
    public var servers = 0
    public var clients = 0

    public init(name: ByteString, secret: Secret?) {
        self.name = name
        self.secret = secret
    }
}

/// What a pool's clients are greeted with: the server's report at its last login.
public final class Welcome: Sendable {
    /// Reported values that no session can set.
    public let fixed: [(name: ByteString, value: ByteString)]
    /// The servers' own values of the parameters that are followed.
    public let base: ParameterSetID
    public init(fixed: [(name: ByteString, value: ByteString)], base: ParameterSetID) {
        self.fixed = fixed
        self.base = base
    }
}

/// What is counted for every pool. Times in nanoseconds.
public struct PoolCounters: Equatable, Sendable {
    public var serverAssignments: UInt64 = 0
    public var transactions: UInt64 = 0
    public var queries: UInt64 = 0
    public var bytesFromClients: UInt64 = 0
    public var bytesFromServers: UInt64 = 0
    public var transactionTime: UInt64 = 0
    public var queryTime: UInt64 = 0
    public var waitTime: UInt64 = 0
    public var clientParses: UInt64 = 0
    public var serverParses: UInt64 = 0
    public var binds: UInt64 = 0
    public var clientLogins: UInt64 = 0
    public init() {}
}

/// What holds for one pool, taken from the user's line, the database's line and the global settings, in that
/// order.
public struct PoolSettings: Equatable, Sendable {
    public var mode: PoolMode
    public var limits: PoolLimits
    public var maxPreparedStatements: Int
    public var queryWaitTimeout: TimeSpan
    public var queryTimeout: TimeSpan
    public var idleTransactionTimeout: TimeSpan
    public var transactionTimeout: TimeSpan
    public var serverIdleTimeout: TimeSpan
    public var serverLifetime: TimeSpan
    public var serverConnectTimeout: TimeSpan
    public var serverCheckDelay: TimeSpan
    public var serverCheckQuery: ByteString?
    public var serverResetQuery: ByteString
    public var resetsAlways: Bool
    /// Connections that all pools of the database, and of the user, may have together; 0 for no limit.
    public var maxDbConnections: Int
    public var maxUserConnections: Int
    public var roundRobin: Bool

    public init(_ snapshot: Snapshot, database: DatabaseEntry, user: ByteString) {
        let global = snapshot.global
        let line = snapshot.user(named: user)
        mode = line?.poolMode ?? database.poolMode ?? global.poolMode
        limits = PoolLimits(
            size: line?.poolSize ?? database.poolSize ?? global.defaultPoolSize,
            minimum: database.minPoolSize ?? global.minPoolSize,
            reserve: line?.reservePoolSize ?? database.reservePoolSize ?? global.reservePoolSize,
            reserveTimeout: global.reservePoolTimeout, loginRetry: global.serverLoginRetry)
        maxPreparedStatements = global.maxPreparedStatements
        tracksStatements = mode.tracksStatements && maxPreparedStatements > 0
        queryWaitTimeout = database.queryWaitTimeout ?? global.queryWaitTimeout
        queryTimeout = line?.queryTimeout ?? global.queryTimeout
        idleTransactionTimeout = line?.idleTransactionTimeout ?? global.idleTransactionTimeout
        transactionTimeout = line?.transactionTimeout ?? global.transactionTimeout
        serverIdleTimeout = global.serverIdleTimeout
        serverLifetime = database.serverLifetime ?? global.serverLifetime
        serverConnectTimeout = global.serverConnectTimeout
        serverCheckDelay = global.serverCheckDelay
        serverCheckQuery = global.effectiveCheckQuery
        serverResetQuery = global.serverResetQuery
        resetsAlways = global.serverResetQueryAlways
        roundRobin = global.serverRoundRobin
        maxDbConnections = database.maxDbConnections ?? global.maxDbConnections
        maxUserConnections = line?.maxUserConnections ?? global.maxUserConnections
    }

    /// Whether prepared statements are followed and renamed.
    public let tracksStatements: Bool
    /// Whether an open transaction or a running query has a deadline.
    public var limitsTransactions: Bool {
        !queryTimeout.isZero || !idleTransactionTimeout.isZero || !transactionTimeout.isZero
    }
}

/// All servers for one database and one user, and the clients that share them.
public struct PoolRecord: ~Copyable {
    public let database: DatabaseID
    /// Whom its servers are logged in as.
    public let user: UserID
    public var settings: PoolSettings
    public var lists = ServerLists()
    public var pace = OpeningPace()
    /// Clients in line, first come first.
    public var waiting = MemberList()
    /// Logged-in clients, those in line included.
    public var clients = 0
    public var welcome: Welcome?
    /// Why the last login failed, while `pace` says that it did.
    public var failure: Refusal?
    /// Lookups in line for a server that no client has used, first come first; they go before clients.
    var lookups: [LookupID] = [] {
        didSet { hasSideLine = !lookups.isEmpty || !replicationLine.isEmpty }
    }
    /// Replication clients for which no server is being opened yet, first come first.
    public internal(set) var replicationLine: [ClientID] = [] {
        didSet { hasSideLine = !lookups.isEmpty || !replicationLine.isEmpty }
    }
    /// Somebody waits who is not in `waiting`.
    private(set) var hasSideLine = false
    /// Lookups that its servers are at work on.
    var runningLookups = 0
    /// What its servers log in with when the user is not in auth_file, from the last login of a client.
    var lookedUp: Secret?
    var lookedUpKeys: ScramKeys?
    public var counters = PoolCounters()
    /// The counters when the last period began, and what the last whole period came to.
    public var atPeriodStart = PoolCounters()
    public var lastPeriod = PoolCounters()
    public var timerAt = Instant.never
    public var idleSince: Instant
    var loans = Loans()

    public init(database: DatabaseID, user: UserID, settings: PoolSettings, now: Instant) {
        self.database = database
        self.user = user
        self.settings = settings
        idleSince = now
    }
}

/// Who wants to be woken.
enum TimerOwner: BitwiseCopyable {
    case client(ClientID)
    case server(ServerID)
    case pool(PoolID)
    case stats
    case upkeep
    case lines
}

/// Whether the pooler works, and how it is ending.
public enum OperatingMode: Equatable, Sendable {
    case active, paused, suspended
}

public enum ShutdownMode: Equatable, Sendable {
    case none, waitForClients, waitForServers
}

/// A message of a console client, for the console to answer.
public struct ConsoleMessage: Sendable {
    public let client: ClientID
    /// The message's type byte.
    public let kind: UInt8
    public let body: ByteString
}

/// What a console command can wait for.
public enum ConsoleWait: Equatable, Sendable {
    case pause(DatabaseID?)
    case close(DatabaseID?)
    case suspend
    case reload
    case shutdown
}

/// A console command that waited and can be answered now.
public struct ConsoleNews: Equatable, Sendable {
    public enum Outcome: Equatable, Sendable { case done, failed, cancelled }
    public let client: ClientID
    public let wait: ConsoleWait
    public let outcome: Outcome
}

/// Bounds of the engine's own making.
public enum Limits {
    /// A message up to this size is read whole before a server is taken for it, in bytes; what is longer is
    /// streamed.
    public static let wholeMessageBytes = 16 * 1024
    /// Longest message that is held because it must be known whole (Parse under tracking), in bytes.
    public static let heldMessageBytes = 32 * 1024 * 1024
    /// Longest Parse of an unnamed statement that is remembered beyond its transaction, in bytes; a client
    /// with a longer one keeps its server instead.
    public static let rememberedParseBytes = 256 * 1024
    /// Longest message of a server that is looked into while it is not being passed on, in bytes.
    public static let serverMessageBytes = 1024 * 1024
    /// Longest console command, in bytes.
    public static let consoleMessageBytes = 64 * 1024
    /// SUSPEND waits this long for logins that have begun.
    public static let suspendedLoginTime = TimeSpan.seconds(1)
    /// Cancel requests may use this many times a pool's size in connections of their own.
    public static let cancelsPerPoolSize = 2
    /// Most workers in one process: a cancel key has six bits for the number of one.
    public static let workers = 64
    /// How often a worker tells of its lines, once their first client has waited that long; a server that has
    /// rested for less is not taken away from a worker for a line that is younger.
    public static let lineReportPeriod = TimeSpan.milliseconds(2)
    /// Of a line the keeper knows since when the first waits, and so many behind it.
    public static let knownBehind = 7
    /// How much older a line elsewhere must be to go before the line here, where more servers are here than
    /// this worker's share (or only one); and where there are not. Where shares are right, lines grow old
    /// alike, and servers stay.
    public static let fairness = TimeSpan.milliseconds(5)
    public static let fairnessAtMost = TimeSpan.milliseconds(20)
    /// What a worker knows of a line elsewhere is up to four periods old. So first come, first served holds
    /// over all workers within four periods and `fairnessAtMost`, or 28 ms, and the time letters take. A line
    /// that is older by this goes first, however many servers have left in the period.
    public static let longestOvertaking = TimeSpan(
        nanoseconds: fairnessAtMost.nanoseconds + 4 * lineReportPeriod.nanoseconds)
    /// Of this many servers of a pool one leaves in a period while clients wait here, too, and at least one:
    /// where knowledge is older than it should be, because threads have to wait for processors, servers
    /// would be sent to and fro.
    public static let fewServers = 8
    /// How long a mate of the keeper that has no idle server looks out for one that makes room for another
    /// pool.
    public static let roomWantedSpan = TimeSpan.milliseconds(20)
    /// How often upkeep (minimum sizes, dynamic databases) looks around.
    public static let upkeepPeriod = TimeSpan.milliseconds(333)
    /// A program that is to print a password may take this long.
    public static let passwordCommandTime = TimeSpan.seconds(10)
    /// A password that a program printed or a file held is asked for again, in the background, when it is
    /// this old and used; and it is used no longer than this. Tokens of clouds live for at least 15 minutes.
    public static let passwordRefreshAge = TimeSpan.seconds(300)
    public static let passwordLifetime = TimeSpan.seconds(600)
    /// How long an answer of auth_query counts for other logins of the same user. A login that fails against
    /// it ends it at once.
    public static let lookupLifetime = TimeSpan.seconds(2)
    /// Answers of auth_query that are remembered at once.
    public static let rememberedLookups = 1024
    /// Longest message of an answer to auth_query, in bytes: a row with the longest secret fits.
    public static let lookupMessageBytes = 128 * 1024
    /// Longest secret that auth_query may answer with, in bytes; as in auth_file.
    public static let lookedUpSecretBytes = 65_530
}
