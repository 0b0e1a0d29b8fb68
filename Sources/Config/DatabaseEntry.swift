public import Primitives

/// One line of `[databases]`: where a database is and how it is pooled. What is `nil` comes from the user's
/// line or from the global settings.
public struct DatabaseEntry: Equatable, Sendable {
    /// What clients ask for; `*` for the template of unknown names.
    public var name: ByteString
    /// Names, addresses or directories, tried as `loadBalanceHosts` says; none means `unix_socket_dir`.
    public var hosts: [ByteString] = []
    public var port: UInt16 = 5432
    /// Name on the server; `nil` for the name the client asked for.
    public var dbname: ByteString?
    /// Log in to the server as this user, whoever the client is.
    public var user: ByteString?
    /// Password of `user`.
    public var password: ByteString?
    /// A program whose output is the password of whoever logs in to the server; run by /bin/sh.
    public var passwordCommand: ByteString?
    /// A file that holds this password.
    public var passwordFile: ByteString?
    public var authUser: ByteString?
    public var authQuery: ByteString?
    public var authDbname: ByteString?
    /// 0 sets no limit.
    public var poolSize: Int?
    public var minPoolSize: Int?
    public var reservePoolSize: Int?
    /// Never 0.
    public var maxDbConnections: Int?
    /// Never 0.
    public var maxDbClientConnections: Int?
    /// Never 0.
    public var serverLifetime: TimeSpan?
    /// 0 waits for ever.
    public var queryWaitTimeout: TimeSpan?
    public var poolMode: PoolMode?
    /// Run once on every new server connection.
    public var connectQuery: ByteString?
    public var loadBalanceHosts = LoadBalanceHosts.roundRobin
    public var clientEncoding: ByteString?
    public var datestyle: ByteString?
    public var timezone: ByteString?
    public var applicationName: ByteString?

    public init(name: ByteString) { self.name = name }

    /// Reads the text of the line. The error is a sentence that says what is wrong.
    public init(name: ByteString, _ text: ByteString) throws(ConnectString.Problem) {
        if name == "pgbouncer" {
            throw ConnectString.Problem(text: "database name \"pgbouncer\" is reserved")
        }
        if name.count > Limits.databaseNameBytes {
            throw ConnectString.Problem(text: "too long db name: at most \(Limits.databaseNameBytes) bytes")
        }
        self.init(name: name)
        for pair in try ConnectString.pairs(text) {
            if try setTarget(pair) { continue }
            if try setPooling(pair) { continue }
            throw ConnectString.Problem(text: "unrecognized connection parameter: \(pair.key.quotable)")
        }
        if passwordCommand != nil, passwordFile != nil {
            throw ConnectString.Problem(text: "password_command and password_file: one of them, not both")
        }
    }

    /// Sets what says where the server is and how to log in; `false` for any other key.
    private mutating func setTarget(_ pair: ConnectString.Pair) throws(ConnectString.Problem) -> Bool {
        switch pair.key {
        case "host":
            let members = pair.value.bytes.split(
                separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            guard members.allSatisfy({ !$0.isEmpty }) else {
                throw ConnectString.Problem(
                    text: "host=\(pair.value.quotable): expected names between the commas")
            }
            hosts = members.map { ByteString(Array($0)) }
        case "port": port = try PairReader(pair: pair).port()
        case "dbname": dbname = pair.value
        case "user": user = pair.value
        case "password":
            guard pair.value.count <= Limits.secretBytes else {
                throw ConnectString.Problem(text: "password too long: at most \(Limits.secretBytes) bytes")
            }
            password = pair.value
        case "password_command": passwordCommand = pair.value
        case "password_file": passwordFile = pair.value
        case "auth_user": authUser = pair.value
        case "auth_query": authQuery = pair.value
        case "auth_dbname": authDbname = pair.value
        case "connect_query": connectQuery = pair.value
        case "client_encoding": clientEncoding = pair.value
        case "datestyle": datestyle = pair.value
        case "timezone": timezone = pair.value
        case "application_name": applicationName = pair.value
        default: return false
        }
        return true
    }

    /// Sets what says how servers are pooled; `false` for any other key.
    private mutating func setPooling(_ pair: ConnectString.Pair) throws(ConnectString.Problem) -> Bool {
        let value = PairReader(pair: pair)
        switch pair.key {
        case "pool_size": poolSize = try value.count()
        case "min_pool_size": minPoolSize = try value.count()
        case "reserve_pool_size", "reserve_pool": reservePoolSize = try value.count()
        case "max_db_connections": maxDbConnections = try value.count(least: 1)
        case "max_db_client_connections": maxDbClientConnections = try value.count(least: 1)
        case "server_lifetime": serverLifetime = try value.time(zeroIsUnset: true)
        case "query_wait_timeout": queryWaitTimeout = try value.time(zeroIsUnset: false)
        case "pool_mode": poolMode = try value.choice("pool mode")
        case "load_balance_hosts": loadBalanceHosts = try value.choice("load_balance_hosts")
        default: return false
        }
        return true
    }

    /// Whether servers of one entry can go on serving the other.
    public func hasSameTarget(as other: DatabaseEntry) -> Bool {
        var copy = self
        copy.takePooling(of: other)
        return copy == other
    }

    /// Takes over everything that a server connection, once made, does not depend on.
    private mutating func takePooling(of other: DatabaseEntry) {
        password = other.password
        passwordCommand = other.passwordCommand
        passwordFile = other.passwordFile
        authUser = other.authUser
        poolSize = other.poolSize
        minPoolSize = other.minPoolSize
        reservePoolSize = other.reservePoolSize
        maxDbConnections = other.maxDbConnections
        maxDbClientConnections = other.maxDbClientConnections
        serverLifetime = other.serverLifetime
        queryWaitTimeout = other.queryWaitTimeout
        poolMode = other.poolMode
    }
}
