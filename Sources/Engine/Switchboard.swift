public import Auth
public import Config
import Pool
public import Primitives
public import Session

/// The engine of one worker: everything it thinks, and nothing it does.
///
/// Facts come in through the methods below, each with the time as an argument; orders go out through the
/// `ActionList`, which is empty on entry. A link's handle is born here: of a client in `accepted`, of a
/// server in `.open`; it dies with `.close` or `.drop`, or when the world says `ended`.
///
/// The verbs are in the extensions: `+Login`, `+Identity`, `+Lookups`, `+Requests`, `+Statements`,
/// `+Replies`, `+Replication`, `+Suspend`, `+Checkout`, `+Servers`, `+Cancel`, `+Peers`, `+Timers`,
/// `+Control`, `+Log`; and what several workers say to each other: `+Crew`, `+Loans`, `+Parcels`.
public struct Switchboard: ~Copyable {
    public internal(set) var snapshot: Snapshot
    public let process: ProcessFacts
    public let crew: Crew
    var entropy: any Entropy
    /// Of all workers of the process.
    public let instance: InstanceSecret
    var scramCache = ScramKeyCache()
    /// Keys of passwords as clients typed them, right or wrong: those must not push the others out.
    var typedKeys = ScramKeyCache(capacity: 256)

    public internal(set) var databases = SlotTable<DatabaseID, Database>()
    public internal(set) var users = SlotTable<UserID, User>()
    public internal(set) var pools = SlotTable<PoolID, PoolRecord>()
    public internal(set) var clients = SlotTable<ClientID, ClientSession>()
    public internal(set) var servers = SlotTable<ServerID, ServerSession>()

    var databaseNames: ByteMap<DatabaseID>
    var userNames: ByteMap<UserID>
    var poolNames: [PoolName: PoolID] = [:]
    /// The first eight bytes of every key we gave out.
    var cancelKeys: [UInt64: ClientID] = [:]

    var lookups = SlotTable<LookupID, Lookup>()
    var lookupNames: [LookupKey: LookupID] = [:]
    /// Answered lookups that still count, oldest first.
    var answeredLookups = Ring<LookupID>(capacity: 16)

    var sideJobs: [NumberedSideJob] = []
    var sideWaits: [UInt64: SideWait] = [:]
    var sideJobNumber: UInt64 = 0
    var sourcedPasswords: [PasswordSource: SourcedPassword] = [:]

    var roster = ServerRoster()
    var clientMembers = Membership()
    public internal(set) var parameters: ParameterTable
    public internal(set) var statements: StatementTable
    var timers = DeadlineQueue<TimerOwner>()

    /// Who may or must use TLS, with the keys and certificates that the driver has: a setting that it could
    /// not follow is not in force.
    public internal(set) var tlsForClients: SSLMode
    public internal(set) var tlsForServers: SSLMode

    public internal(set) var mode = OperatingMode.active
    /// When the last SUSPEND was given.
    var suspendedAt = Instant.zero
    /// Sockets are being handed to another process, which is told all there is to tell, or only what
    /// PgBouncer would; `nil` for not.
    var handsOverWithState: Bool?
    /// Statements of the process before, by the number in their names; held until all rows are in.
    var inheritedStatements: [UInt32: UInt32] = [:]
    public internal(set) var shutdown = ShutdownMode.none
    /// The last action has been `.exit`.
    var isExiting = false
    var connectionCount: UInt64 = 0
    /// Clients that only carry a cancel request; they have their own room.
    public internal(set) var cancelRequests = 0
    /// Where the console's own clients are counted.
    public internal(set) var consolePool: PoolID?
    /// Cancel requests for which there is no room yet: who asks, for whom, and for which of its assignments.
    var waitingCancels: [(asker: ClientID?, client: ClientID, epoch: UInt64)] = []
    /// Cancel requests for clients of peers that have no connection yet, and peers that were ever sent one.
    var waitingForwards: [ForwardedCancel] = []
    var usedPeers: Set<UInt16> = []
    /// A server is being closed so that another pool can open one: its own pool must not take the place.
    var isMakingRoom = false
    /// Some user has an idle limit of its own.
    var hasIdleLimits = false
    var consoleMessages: [ConsoleMessage] = []
    var consoleNews: [ConsoleNews] = []
    var consoleWaits: [(client: ClientID, wait: ConsoleWait)] = []
    public internal(set) var consoleClients = 0
    /// What the driver knows of host names.
    public var names = NameReport()
    public internal(set) var statsPeriodStart: Instant
    /// When the period ends; timers for other instants are of a period that was changed.
    var statsPeriodEnd = Instant.never
    public internal(set) var lastPeriodSpan = TimeSpan.zero
    let hashSeed: UInt64

    // With several workers only.
    /// Pools with a line, here or, at the keeper, elsewhere; `.lines` is among the timers while there are
    /// any.
    var watchedPools: [PoolID] = []
    var hasLineTimer = false
    /// Counts what makes servers obsolete; at a mate, what it has heard of.
    var era: UInt64 = 0
    /// At the keeper: connections that mates have, by worker, and clients that count as one of
    /// `max_client_conn` on all workers.
    var connectionsElsewhere: [Int]
    var guests = 0
    /// With several workers, at the keeper: of all of them.
    public internal(set) var addresses = AddressBook()
    /// Clients of this worker that have not proved yet who they are, and those that ever were, oldest first.
    public internal(set) var strangers = 0
    var strangerLine = Ring<ClientID>()
    /// At the keeper: servers that mates have.
    var lentServers = 0
    /// At the keeper: the last configuration and the last SUSPEND that mates were told of, and what each has
    /// done of that, by worker. At a mate, the SUSPEND that is still to be answered.
    var configurationEra: UInt64 = 0
    var suspensionCount: UInt64 = 0
    var appliedElsewhere: [UInt64]
    var flushedElsewhere: [UInt64]
    var unansweredSuspension: UInt64?
    /// At the keeper: what other workers have said of their last periods, since ours ended and before.
    var periodElsewhere = PoolCounters()
    var lastPeriodElsewhere = PoolCounters()
    var roomWanted: [RoomWanted] = []
    /// At the keeper: where names lead since when, for servers that were on their way home then.
    var movedHosts: [ByteString: (host: MovedHost, era: UInt64)] = [:]
    var roomTurn = 0
    var letterMessages: [LetterMessage] = []
    /// Processor time of this worker's thread, as the driver last noted it; when this period began; in the
    /// last whole period.
    public var busyNanoseconds: UInt64 = 0
    var busyAtPeriodStart: UInt64 = 0
    var busyLastPeriod: UInt64 = 0
    public internal(set) var lettersSent: UInt64 = 0
    public internal(set) var lettersReceived: UInt64 = 0
    public internal(set) var serversSent: UInt64 = 0

    /// For those who make several and need not know what it is.
    public typealias Instance = InstanceSecret

    struct PoolName: Hashable {
        var database: DatabaseID
        var user: UserID
    }

    /// `instance` must be the same in all workers of a process; it is made here when there is only one.
    public init(
        snapshot: Snapshot, process: ProcessFacts, entropy: any Entropy, crew: Crew = .alone,
        instance: InstanceSecret? = nil, now: Instant
    ) {
        self.snapshot = snapshot
        self.process = process
        self.crew = crew
        tlsForClients = snapshot.global.clientTLSSSLMode
        tlsForServers = snapshot.global.serverTLSSSLMode
        var entropy = entropy
        let seed = entropy.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        hashSeed = seed
        self.instance = instance ?? InstanceSecret.random(&entropy)
        self.entropy = entropy
        databaseNames = ByteMap(seed: seed)
        userNames = ByteMap(seed: seed)
        parameters = ParameterTable(extra: snapshot.global.trackExtraParameters, seed: seed)
        statements = StatementTable(seed: seed, isShared: !crew.isAlone)
        let mates = crew.isKeeper ? crew.count : 0
        connectionsElsewhere = Array(repeating: 0, count: mates)
        appliedElsewhere = Array(repeating: 0, count: mates)
        flushedElsewhere = Array(repeating: 0, count: mates)
        statsPeriodStart = now
        adopt(snapshot, now: now)
        addConsole(now: now)
        timers.add(.upkeep, at: now + Limits.upkeepPeriod)
        armStats(from: now)
    }

    /// The pseudo-database, for its line in SHOW POOLS and its counters.
    private mutating func addConsole(now: Instant) {
        var entry = DatabaseEntry(name: Self.consoleName)
        entry.poolMode = .ofConsole
        entry.poolSize = 2
        let record = Database(name: Self.consoleName, entry: entry, isAutomatic: false, now: now)
        guard let user = findUser(Self.consoleName), let database = databases.insert(record) else { return }
        _ = Self.consoleName.withView { databaseNames.set($0, to: database) }
        consolePool = findPool(database, user, now: now)
    }

    // MARK: What the world tells

    /// A client connected. `nil`: there is no room even to say so; close the socket. It may be refused at
    /// once: the list says so.
    public mutating func accepted(
        peer: SocketAddress, local: SocketAddress, now: Instant, into actions: inout ActionList
    ) -> ClientID? {
        guard let client = takeIn(peer: peer, local: local, now: now, into: &actions) else { return nil }
        if !clients[client].holds.isEmpty { actions.append(.pauseReading(.client(client))) }
        clients[client].awaitsHeader = speaksForOthers(peer)
        if !clients[client].awaitsHeader { countAddress(client, now: now, into: &actions) }
        return client
    }

    /// A client is here from now on, whoever has accepted it.
    mutating func takeIn(
        _ number: UInt64? = nil, peer: SocketAddress, local: SocketAddress, now: Instant,
        into actions: inout ActionList
    ) -> ClientID? {
        parameters.hold(again: parameters.empty)
        let session = ClientSession(
            number: number ?? nextNumber(), peer: peer, local: local, parameters: parameters.empty, now: now)
        guard let client = clients.insert(session) else {
            parameters.letGo(parameters.empty)
            return nil
        }
        wake(client, after: snapshot.global.clientLoginTimeout, from: now)
        isStrange(client, now: now, into: &actions)
        // Whoever knows its link says that it is paused.
        if mode == .suspended { clients[client].holds.insert(.suspension) }
        return client
    }

    /// Bytes of a link: what was kept of it, and what was read behind that. The number of bytes consumed,
    /// from the front; the driver keeps the rest and offers it again with the next bytes, or after
    /// `.resumeReading`. When nothing is consumed of a full buffer the driver makes room for more; the engine
    /// bounds how far.
    public mutating func received(
        _ bytes: ByteView, from link: LinkID, now: Instant, into actions: inout ActionList
    ) -> Int {
        switch link {
        case .client(let client):
            guard clients.contains(client) else { return bytes.count }
            switch clients[client].phase {
            case .idle, .waiting, .active, .skipping:
                return requests(bytes, from: client, now: now, into: &actions)
            case .replicating:
                return replicationRequests(bytes, from: client, now: now, into: &actions)
            case .startup, .authenticating, .awaitingWelcome, .console, .cancelRequest:
                return handshake(bytes, from: client, now: now, into: &actions)
            }
        case .server(let server):
            guard servers.contains(server) else { return bytes.count }
            servers[server].unreadBytes = 0
            let consumed: Int
            switch servers[server].phase {
            case .ready where servers[server].errand == .lookup:
                consumed = lookupReplies(bytes, from: server, now: now, into: &actions)
            case .ready:
                consumed = replies(bytes, from: server, now: now, into: &actions)
            case .askingForTLS:
                consumed = encryptionAnswered(bytes, from: server, now: now, into: &actions)
            case .connecting, .shakingHands, .loggingIn:
                consumed = loginReplies(bytes, from: server, now: now, into: &actions)
            case .replicating:
                consumed = replicationReplies(bytes, from: server, now: now, into: &actions)
            case .cancelRequest:
                consumed = bytes.count
            }
            if servers.contains(server) { servers[server].unreadBytes = bytes.count - consumed }
            return consumed
        }
    }

    /// A link is gone; its handle is dead after this.
    public mutating func ended(_ link: LinkID, _ end: LinkEnd, now: Instant, into actions: inout ActionList) {
        switch link {
        case .client(let client):
            guard clients.contains(client) else { return }
            if case .brokenTLS(let why) = end { logBrokenTLS(client, why, into: &actions) }
            let reason: StaticString =
                end == .endOfFile ? "client unexpected eof" : "client connection lost"
            forget(client, because: ByteString(reason), told: false, now: now, into: &actions)
        case .server(let server):
            guard servers.contains(server) else { return }
            if case .brokenTLS(let why) = end { logBrokenTLS(server, why, into: &actions) }
            serverEnded(server, now: now, into: &actions)
        }
    }

    /// The kernel took less than was to be written to this link; the rest is queued.
    public mutating func congested(_ link: LinkID, into actions: inout ActionList) {
        switch link {
        case .client(let client):
            guard clients.contains(client) else { return }
            clients[client].isCongested = true
            if clients[client].phase == .console { hold(client, .congestion, into: &actions) }
            if let server = clients[client].server { hold(server, .congestion, into: &actions) }
        case .server(let server):
            guard servers.contains(server) else { return }
            servers[server].isCongested = true
            if let client = servers[server].client { hold(client, .congestion, into: &actions) }
        }
    }

    /// Everything queued for this link has been taken.
    public mutating func drained(_ link: LinkID, now: Instant, into actions: inout ActionList) {
        switch link {
        case .client(let client):
            guard clients.contains(client) else { return }
            clients[client].isCongested = false
            if clients[client].phase == .console { unhold(client, .congestion, into: &actions) }
            if let server = clients[client].server { unhold(server, .congestion, into: &actions) }
        case .server(let server):
            guard servers.contains(server) else { return }
            servers[server].isCongested = false
            if let client = servers[server].client {
                unhold(client, .congestion, into: &actions)
                releaseIfFree(server, of: client, now: now, into: &actions)
            }
        }
    }

    // MARK: What the driver asks

    /// When `deadlinePassed` wants to be called; `nil` for never.
    public var nextDeadline: Instant? { timers.next }

    /// The console has something to do: `Console.serve` is to be called after this event.
    public var hasConsoleWork: Bool {
        !consoleMessages.isEmpty || !consoleNews.isEmpty || !letterMessages.isEmpty
    }

    public mutating func takeLetterMessages() -> [LetterMessage] {
        defer { letterMessages.removeAll() }
        return letterMessages
    }

    public mutating func takeConsoleMessages() -> [ConsoleMessage] {
        defer { consoleMessages.removeAll() }
        return consoleMessages
    }

    public mutating func takeConsoleNews() -> [ConsoleNews] {
        defer { consoleNews.removeAll() }
        return consoleNews
    }

    /// Connections are numbered over all workers: each has every so-manieth number.
    mutating func nextNumber() -> UInt64 {
        connectionCount &+= 1
        return crew.isAlone
            ? connectionCount : (connectionCount &- 1) &* UInt64(crew.count) &+ UInt64(crew.me.index) &+ 1
    }

    // MARK: Holding links back

    mutating func hold(_ client: ClientID, _ reason: Holds, into actions: inout ActionList) {
        if clients[client].holds.isEmpty { actions.append(.pauseReading(.client(client))) }
        clients[client].holds.insert(reason)
    }

    mutating func unhold(_ client: ClientID, _ reason: Holds, into actions: inout ActionList) {
        guard clients[client].holds.contains(reason) else { return }
        clients[client].holds.remove(reason)
        if clients[client].holds.isEmpty { actions.append(.resumeReading(.client(client))) }
    }

    mutating func hold(_ server: ServerID, _ reason: Holds, into actions: inout ActionList) {
        if servers[server].holds.isEmpty { actions.append(.pauseReading(.server(server))) }
        servers[server].holds.insert(reason)
    }

    mutating func unhold(_ server: ServerID, _ reason: Holds, into actions: inout ActionList) {
        guard servers[server].holds.contains(reason) else { return }
        servers[server].holds.remove(reason)
        if servers[server].holds.isEmpty { actions.append(.resumeReading(.server(server))) }
    }
}

/// What signals mean, as in PgBouncer.
public enum SignalOrder: Equatable, Sendable {
    case reload  // SIGHUP
    case shutdownWaitForClients  // SIGTERM
    case shutdownWaitForServers  // SIGINT
    case shutdownNow  // SIGQUIT
    case pause  // SIGUSR1
    case resume  // SIGUSR2
}

/// What the engine has to know of the process it runs in.
public struct ProcessFacts: Sendable {
    /// The effective user of the process: its own console logins over a unix socket need no password.
    public var userID: UInt32
    public var listenPort: UInt16
    /// First line of `--version`, also the answer of `SHOW VERSION`.
    public var version: ByteString
    /// Wall-clock time of the start in seconds since 1970, and the monotonic instant of the same moment:
    /// `SHOW` prints wall-clock times computed from these.
    public var startSeconds: Double
    public var startInstant: Instant
    /// There are threads for what takes long (`SideJob`); without them keys are derived on the spot.
    public var hasHelpers = false
    public init(
        userID: UInt32, listenPort: UInt16, version: ByteString, startSeconds: Double, startInstant: Instant
    ) {
        self.userID = userID
        self.listenPort = listenPort
        self.version = version
        self.startSeconds = startSeconds
        self.startInstant = startInstant
    }
}
