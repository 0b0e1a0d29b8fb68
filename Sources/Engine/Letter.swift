public import Auth
public import Config
public import Primitives
public import Session

/// One of the threads that share the work. Number 0 is the keeper.
public struct WorkerID: Hashable, Sendable, BitwiseCopyable {
    public let index: UInt8
    public init(index: UInt8) { self.index = index }
    /// Accepts clients, opens servers, keeps the books of every limit, and has the console.
    public static let keeper = WorkerID(index: 0)

    /// A mate's place in the keeper's books, which have none for the keeper itself.
    init(place: Int) { index = UInt8(place + 1) }
    var place: Int { Int(index) - 1 }
}

/// Which worker a switchboard is, and of how many.
public struct Crew: Equatable, Sendable {
    public let me: WorkerID
    public let count: Int

    /// `count` is at most `Limits.workers`.
    public init(me: WorkerID, count: Int) {
        self.me = me
        self.count = count
    }

    /// The only worker of its process: nothing that has to do with letters ever happens.
    public static let alone = Crew(me: .keeper, count: 1)

    public var isAlone: Bool { count == 1 }
    /// There are others, and this one keeps the books.
    public var isKeeper: Bool { count > 1 && me == .keeper }
    /// There are others, and one of them keeps the books.
    public var isMate: Bool { me != .keeper }
    /// Everybody but the keeper.
    public var mates: [WorkerID] { (1..<max(1, count)).map { WorkerID(index: UInt8($0)) } }
}

/// A pool by the names of its database and of the user its servers are logged in as: handles mean nothing to
/// another worker.
public struct PoolLabel: Hashable, Sendable {
    public let database: ByteString
    public let user: ByteString
    public init(database: ByteString, user: ByteString) {
        self.database = database
        self.user = user
    }
}

/// What one worker writes to another. Letters go between the keeper and a mate, never between two mates,
/// and between two workers they arrive in the order they were posted in.
public enum Letter: Sendable {
    // Between any two: with a socket.

    /// A client that another worker has to do with: a new one, a login to the console, a cancel request.
    case client(ClientParcel)
    /// An idle server.
    case server(ServerParcel)

    // From a mate to the keeper.

    /// May this client of mine count as one of `max_client_conn`? Answered by `mayStay`.
    case knock(ClientID, SocketAddress)
    /// May it have a place in this pool? Answered by `mayEnter`. What its login has taught about logging in
    /// to servers comes with it.
    case enter(ClientID, Entry, Proof)
    /// Somebody at this address could not prove to be who it said.
    case loginFailed(SocketAddress)
    /// A connection is gone, and with it what it had been allowed.
    case left(Departure)
    /// Lines that have grown old, and those reported earlier that have changed.
    case lines([Line])
    /// All there was to give for `spare` has been sent.
    case spareGiven(PoolLabel)
    /// A server that was lent is closed.
    case closed(PoolLabel, wasRetiring: Bool)
    /// What happened in the last `stats_period`.
    case period(PoolCounters)
    /// The configuration of this era is in force here.
    case applied(UInt64)
    /// Nothing is left to be written for the SUSPEND of this number.
    case flushed(UInt64)

    // From the keeper to a mate.

    case mayStay(ClientID, SocketAddress, Refusal?)
    case mayEnter(ClientID, Entry, Refusal?, PoolNews)
    /// How the pool's servers can be reached just now.
    case news(PoolLabel, PoolNews)
    /// Everybody in line is told this.
    case refuseLine(PoolLabel, Refusal)
    /// Send up to so many idle servers that have rested a while, then `spareGiven`.
    case spare(PoolLabel, count: Int)
    /// Who waits elsewhere: send home what is idle, and what becomes free before an older wait here.
    case rivals([Line])
    /// Close so many servers as they become free; replaces what was said before.
    case shed(PoolLabel, count: Int)
    /// Another pool waits for room under a shared limit: close an idle server of this database or this user.
    case makeRoom(database: ByteString?, user: ByteString?)
    /// What an operator wants of everybody.
    case order(Order)

    // The console's own, both ways.

    /// Numbered by the one who asks; the answer has the same number.
    case question(UInt64, ConsoleQuestion)
    case answer(UInt64, ConsoleAnswer)
}

/// A client on its way to another worker, before anything of it has been dealt with.
public struct ClientParcel: Sendable {
    public let peer: SocketAddress
    public let local: SocketAddress
    /// `nil` in the clear.
    public let encryption: Encryption?
    /// What it has sent and nobody has answered: to be offered to `received` when it has been adopted.
    public let bytes: ByteString
    public init(
        peer: SocketAddress, local: SocketAddress, encryption: Encryption? = nil, bytes: ByteString = ""
    ) {
        self.peer = peer
        self.local = local
        self.encryption = encryption
        self.bytes = bytes
    }
}

/// An idle server on its way to another worker: all that is known of its session, by names and texts.
public struct ServerParcel: Sendable {
    public let pool: PoolLabel
    public let number: UInt64
    public let endpoint: Endpoint
    public let remote: SocketAddress?
    public let local: SocketAddress?
    /// `nil` in the clear.
    public let encryption: Encryption?
    public let processID: UInt32
    public let secret: ByteString
    public let epoch: UInt64
    public let openedAt: Instant
    public let requestAt: Instant
    public let restingSince: Instant
    /// The era of whoever sends it.
    public let era: UInt64
    /// What it has reported, without what no session can set.
    public let parameters: [(name: ByteString, value: ByteString)]
    /// Definitions of the statements it has prepared, least recently used first.
    public let statements: [ByteString]
    /// PostgreSQL may have an unnamed statement that no client there knows.
    public let mayHaveUnnamed: Bool
}

/// A client's place in a pool.
public struct Entry: Hashable, Sendable {
    public let database: ByteString
    /// Whom the client has logged in as.
    public let user: ByteString
    /// Whom the pool's servers are logged in as.
    public let serverUser: ByteString
    public var pool: PoolLabel { PoolLabel(database: database, user: serverUser) }
}

/// What a client's login has taught about logging in to servers.
public struct Proof: Sendable {
    /// What auth_query has told.
    public let secret: Secret?
    public let keys: ScramKeys?
}

/// What a client that is gone had been allowed.
public struct Departure: Sendable {
    /// The connection itself is gone; `false` gives only an answer back that came too late.
    public var isConnection: Bool
    /// It counted as one of `max_client_conn`.
    public var isGuest: Bool
    /// Where it was.
    public var peer: SocketAddress?
    public var entry: Entry?
}

/// Clients in line for a pool: how many, and since when the first of them waits.
public struct Line: Equatable, Sendable {
    public let pool: PoolLabel
    public let count: Int
    public let since: Instant
    /// Of lines elsewhere: how many servers whoever is told of them has beyond its share.
    public let surplus: Int
    /// To the keeper: since when those right behind the first wait; a few of them.
    public let behind: [Instant]

    public init(
        pool: PoolLabel, count: Int, since: Instant, surplus: Int = 0, behind: [Instant] = []
    ) {
        self.pool = pool
        self.count = count
        self.since = since
        self.surplus = surplus
        self.behind = behind
    }
}

/// What a mate has to know of a pool whose servers only the keeper opens.
public struct PoolNews: Sendable {
    /// What its clients are greeted with; `nil` while no server has told.
    public var welcome: WelcomeText?
    /// Why its servers cannot be reached, and since when; `nil` while they can.
    public var failure: Refusal?
    public var failedAt: Instant
    public init(welcome: WelcomeText? = nil, failure: Refusal? = nil, failedAt: Instant = .zero) {
        self.welcome = welcome
        self.failure = failure
        self.failedAt = failedAt
    }
}

/// `Welcome`, by names.
public struct WelcomeText: Sendable {
    public let fixed: [(name: ByteString, value: ByteString)]
    public let base: [(name: ByteString, value: ByteString)]
}

/// What an operator wants of every worker; databases by name, `nil` for all.
public enum Order: Sendable {
    case put(Snapshot, era: UInt64, keepsTLS: Bool)
    case pause(ByteString?)
    /// Numbered; answered by `flushed`.
    case suspend(UInt64)
    case resume(ByteString?)
    case kill(ByteString, Refusal, era: UInt64)
    case reconnect(ByteString?, era: UInt64)
    case disable(ByteString, Bool)
    /// Servers at addresses that this name has no longer are replaced.
    case moved(MovedHost, era: UInt64)
    case shutDown(ShutdownMode)
}

/// A question or an answer of a console on another worker, for the console here.
public enum LetterMessage: Sendable {
    case question(UInt64, ConsoleQuestion, from: WorkerID)
    case answer(UInt64, ConsoleAnswer, from: WorkerID)
}

/// What the console asks of another worker.
public enum ConsoleQuestion: Sendable {
    /// The rows of a SHOW command, by its words.
    case rows(ByteString)
    /// Close the client with this number, if it is there.
    case kill(UInt64)
}

/// What the other worker says.
public enum ConsoleAnswer: Sendable {
    /// Rows as the command itself knows them.
    case rows(any Sendable)
    case killed(Bool)
}
