package import Auth
package import Config
package import Pool
package import Primitives
package import Session

/// A database that clients ask for by name: its line of the configuration and what is going on in it.
package struct Database: ~Copyable {
    package let name: ByteString
    package var entry: DatabaseEntry
    /// Made for a name that only `*` covers.
    package var isAutomatic: Bool
    /// Its line is gone from the configuration.
    package var isRemoved = false
    /// New servers wait until RESUME.
    package var isPaused = false
    /// New logins are refused until ENABLE.
    package var isDisabled = false
    /// Sessions of servers over all its pools, and of clients.
    package var servers = 0
    package var clients = 0
    /// Where the next connection of a host list goes.
    package var hostCursor = 0
    package var lastUsed: Instant

    package init(name: ByteString, entry: DatabaseEntry, isAutomatic: Bool, now: Instant) {
        self.name = name
        self.entry = entry
        self.isAutomatic = isAutomatic
        lastUsed = now
    }

    /// Its name on the server.
    package var nameOnServer: ByteString { entry.dbname ?? name }
}

/// A role, as clients log in with it or servers are logged in as it.
package struct User: ~Copyable {
    package let name: ByteString
    package var secret: Secret?
    /// SCRAM keys taken from a client's login, for logging in to the server (pass-through).
    package var keys: ScramKeys?
    package var servers = 0
    package var clients = 0

    package init(name: ByteString, secret: Secret?) {
        self.name = name
        self.secret = secret
    }
}

/// What a pool's clients are greeted with: the server's report at its last login.
package final class Welcome: Sendable {
    /// Reported values that no session can set.
    package let fixed: [(name: ByteString, value: ByteString)]
    /// The servers' own values of the parameters that are followed.
    package let base: ParameterSetID
    package init(fixed: [(name: ByteString, value: ByteString)], base: ParameterSetID) {
        self.fixed = fixed
        self.base = base
    }
}

/// What is counted for every pool. Times in nanoseconds.
package struct PoolCounters: Equatable, Sendable {
    package var serverAssignments: UInt64 = 0
    package var transactions: UInt64 = 0
    package var queries: UInt64 = 0
    package var bytesFromClients: UInt64 = 0
    package var bytesFromServers: UInt64 = 0
    package var transactionTime: UInt64 = 0
    package var queryTime: UInt64 = 0
    package var waitTime: UInt64 = 0
    package var clientParses: UInt64 = 0
    package var serverParses: UInt64 = 0
    package var binds: UInt64 = 0
    package var clientLogins: UInt64 = 0
    package init() {}
}

/// What holds for one pool, taken from the user's line, the database's line and the global settings, in that order.
package struct PoolSettings: Equatable, Sendable {
    package var mode: PoolMode
    package var limits: PoolLimits
    package var maxPreparedStatements: Int
    package var queryWaitTimeout: TimeSpan
    package var queryTimeout: TimeSpan
    package var idleTransactionTimeout: TimeSpan
    package var transactionTimeout: TimeSpan
    package var serverIdleTimeout: TimeSpan
    package var serverLifetime: TimeSpan
    package var serverConnectTimeout: TimeSpan
    package var serverCheckDelay: TimeSpan
    package var serverCheckQuery: ByteString?
    package var serverResetQuery: ByteString
    package var resetsAlways: Bool
    package var roundRobin: Bool

    package init(_ snapshot: Snapshot, database: DatabaseEntry, user: ByteString) {
        let global = snapshot.global
        let line = snapshot.user(named: user)
        mode = line?.poolMode ?? database.poolMode ?? global.poolMode
        limits = PoolLimits(
            size: line?.poolSize ?? database.poolSize ?? global.defaultPoolSize,
            minimum: database.minPoolSize ?? global.minPoolSize,
            reserve: line?.reservePoolSize ?? database.reservePoolSize ?? global.reservePoolSize,
            reserveTimeout: global.reservePoolTimeout, loginRetry: global.serverLoginRetry)
        maxPreparedStatements = global.maxPreparedStatements
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
    }

    /// Whether prepared statements are followed and renamed.
    package var tracksStatements: Bool { mode.tracksStatements && maxPreparedStatements > 0 }
    /// Whether an open transaction or a running query has a deadline.
    package var limitsTransactions: Bool {
        !queryTimeout.isZero || !idleTransactionTimeout.isZero || !transactionTimeout.isZero
    }
}

/// All servers for one database and one user, and the clients that share them.
package struct PoolRecord: ~Copyable {
    package let database: DatabaseID
    /// Whom its servers are logged in as.
    package let user: UserID
    package var settings: PoolSettings
    package var lists = ServerLists()
    package var pace = OpeningPace()
    /// Clients in line, first come first.
    package var waiting = MemberList()
    /// Logged-in clients, those in line included.
    package var clients = 0
    package var welcome: Welcome?
    /// Why the last login failed, while `pace` says that it did.
    package var failure: Refusal?
    package var counters = PoolCounters()
    /// The counters when the last period began, and what the last whole period came to.
    package var atPeriodStart = PoolCounters()
    package var lastPeriod = PoolCounters()
    package var timerAt = Instant.never
    package var idleSince: Instant

    package init(database: DatabaseID, user: UserID, settings: PoolSettings, now: Instant) {
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
}

/// Whether the pooler works, and how it is ending.
package enum OperatingMode: Equatable, Sendable {
    case active, paused, suspended
}

package enum ShutdownMode: Equatable, Sendable {
    case none, waitForClients, waitForServers
}

/// A message of a console client, for the console to answer.
package struct ConsoleMessage: Sendable {
    package let client: ClientID
    /// The message's type byte.
    package let kind: UInt8
    package let body: ByteString
}

/// What a console command can wait for.
package enum ConsoleWait: Equatable, Sendable {
    case pause(DatabaseID?)
    case close(DatabaseID?)
    case reload
    case shutdown
}

/// A console command that waited and can be answered now.
package struct ConsoleNews: Equatable, Sendable {
    package enum Outcome: Equatable, Sendable { case done, failed, cancelled }
    package let client: ClientID
    package let wait: ConsoleWait
    package let outcome: Outcome
}

/// Bounds of the engine's own making.
package enum Limits {
    /// A message up to this size is read whole before a server is taken for it, in bytes; what is longer is streamed.
    package static let wholeMessageBytes = 16 * 1024
    /// Longest message that is held because it must be known whole (Parse under tracking), in bytes.
    package static let heldMessageBytes = 32 * 1024 * 1024
    /// Longest Parse of an unnamed statement that is remembered beyond its transaction, in bytes; a client with a
    /// longer one keeps its server instead.
    package static let rememberedParseBytes = 256 * 1024
    /// Longest message of a server that is looked into while it is not being passed on, in bytes.
    package static let serverMessageBytes = 1024 * 1024
    /// Longest console command, in bytes.
    package static let consoleMessageBytes = 64 * 1024
    /// Cancel requests may use this many times a pool's size in connections of their own.
    package static let cancelsPerPoolSize = 2
    /// How often upkeep (minimum sizes, dynamic databases) looks around.
    package static let upkeepPeriod = TimeSpan.milliseconds(333)
}
