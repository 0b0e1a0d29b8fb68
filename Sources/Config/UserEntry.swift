public import Primitives

/// One line of `[users]`: limits of a user. What is `nil` comes from the database's line or the global
/// settings.
public struct UserEntry: Equatable, Sendable {
    public var name: ByteString
    /// 0 sets no limit.
    public var poolSize: Int?
    public var reservePoolSize: Int?
    public var poolMode: PoolMode?
    /// A program whose output is this user's password on servers; run by /bin/sh.
    public var passwordCommand: ByteString?
    /// A file that holds this password.
    public var passwordFile: ByteString?
    /// Never 0.
    public var maxUserConnections: Int?
    /// Never 0.
    public var maxUserClientConnections: Int?
    /// Never 0.
    public var queryTimeout: TimeSpan?
    /// 0 waits for ever.
    public var queryWaitTimeout: TimeSpan?
    /// Never 0.
    public var idleTransactionTimeout: TimeSpan?
    /// Never 0.
    public var transactionTimeout: TimeSpan?
    /// Never 0.
    public var clientIdleTimeout: TimeSpan?

    public init(name: ByteString) { self.name = name }

    /// Reads the text of the line, which may be empty. The error is a sentence that says what is wrong.
    public init(name: ByteString, _ text: ByteString) throws(ConnectString.Problem) {
        if name.count > Limits.userNameBytes {
            throw ConnectString.Problem(text: "too long user name: at most \(Limits.userNameBytes) bytes")
        }
        self.init(name: name)
        for pair in try ConnectString.pairs(text) {
            let value = PairReader(pair: pair)
            switch pair.key {
            case "pool_size": poolSize = try value.count()
            case "reserve_pool_size": reservePoolSize = try value.count()
            case "password_command": passwordCommand = pair.value
            case "password_file": passwordFile = pair.value
            case "pool_mode": poolMode = try value.choice("pool mode")
            case "max_user_connections": maxUserConnections = try value.count(least: 1)
            case "max_user_client_connections": maxUserClientConnections = try value.count(least: 1)
            case "query_timeout": queryTimeout = try value.time(zeroIsUnset: true)
            case "query_wait_timeout": queryWaitTimeout = try value.time(zeroIsUnset: false)
            case "idle_transaction_timeout": idleTransactionTimeout = try value.time(zeroIsUnset: true)
            case "transaction_timeout": transactionTimeout = try value.time(zeroIsUnset: true)
            case "client_idle_timeout": clientIdleTimeout = try value.time(zeroIsUnset: true)
            default:
                throw ConnectString.Problem(text: "unrecognized user parameter: \(pair.key.quotable)")
            }
        }
        if passwordCommand != nil, passwordFile != nil {
            throw ConnectString.Problem(text: "password_command and password_file: one of them, not both")
        }
    }
}

/// One line of `[peers]`: another pooler process that may hold the client a cancel request is for.
public struct PeerEntry: Equatable, Sendable {
    /// From 1.
    public var id: UInt16
    public var host: ByteString
    public var port: UInt16 = 6432
    /// Cancel requests in flight to the peer at once; `nil` for `default_pool_size`.
    public var poolSize: Int?

    public init(id: UInt16, host: ByteString) {
        self.id = id
        self.host = host
    }

    /// Reads the text of the line. The error is a sentence that says what is wrong.
    public init(name: ByteString, _ text: ByteString) throws(ConnectString.Problem) {
        guard let id = Numbers.decimal(name).flatMap(UInt16.init(exactly:)), id > 0 else {
            throw ConnectString.Problem(text: "ids of peers must be a number larger than 0 and at most 65535")
        }
        self.init(id: id, host: "")
        for pair in try ConnectString.pairs(text) {
            switch pair.key {
            case "host": host = pair.value
            case "port": port = try PairReader(pair: pair).port()
            case "pool_size": poolSize = try PairReader(pair: pair).count()
            default:
                throw ConnectString.Problem(text: "unrecognized connection parameter: \(pair.key.quotable)")
            }
        }
        if host.isEmpty { throw ConnectString.Problem(text: "host was not provided for peer \(id)") }
    }
}
