public import Primitives

/// Every setting of the `[pgbouncer]` section, with its default: one property here and one row in
/// `GlobalSettings+Rows.swift`. Parser, console, reload rule, `conf/pglido.ini` and the README come from the
/// row.
public struct GlobalSettings: Equatable, Sendable {
    /// Users who may log in to the console and run every command; checked when they log in.
    public var adminUsers: [ByteString] = []
    /// Append the client address and port to the application_name a client sends at its start.
    public var applicationNameAddHost: Bool = false
    /// Database entry on which auth_query runs; not set: the database the client asked for.
    public var authDbname: ByteString?
    /// File with user names and passwords or secrets, one "name" "secret" pair a line.
    public var authFile: ByteString?
    /// File with host-based access rules, used when auth_type is hba.
    public var authHBAFile: ByteString = ""
    /// File with maps from system names to role names, used when auth_type is hba.
    public var authIdentFile: ByteString?
    /// LDAP parameters, used when auth_type is ldap.
    public var authLDAPOptions: LDAPOptions?
    /// Query with one parameter, the user name, that returns that user's name and secret.
    public var authQuery: ByteString = """
        SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END \
        FROM pg_authid WHERE rolname=$1 AND rolcanlogin
        """
    /// How clients prove who they are: any, trust, plain, md5, scram-sha-256, cert, hba, ldap or pam.
    public var authType: AuthType = .md5
    /// User that runs auth_query for names missing from auth_file; not set: such names are refused.
    public var authUser: ByteString?
    /// Drop a database that the * entry made once it is unused this long; 0 keeps it.
    public var autodbIdleTimeout: TimeSpan = .seconds(3600)
    /// Longest time a cancel request waits for a server connection; 0 waits for ever.
    public var cancelWaitTimeout: TimeSpan = .seconds(10)
    /// Close clients that are idle outside a transaction this long; 0 never does.
    public var clientIdleTimeout: TimeSpan = .zero
    /// Close clients that have not finished logging in after this time; 0 never does.
    public var clientLoginTimeout: TimeSpan = .seconds(60)
    /// Cipher suites of TLS 1.3 for clients; not set: the library's default.
    public var clientTLS13Ciphers: ByteString?
    /// Certificate authority that must have signed client certificates.
    public var clientTLSCAFile: ByteString = ""
    /// Certificate shown to clients.
    public var clientTLSCertFile: ByteString = ""
    /// Ciphers up to TLS 1.2 for clients: an OpenSSL list, or default, secure, normal, fast.
    public var clientTLSCiphers: ByteString = "default"
    /// Diffie-Hellman key exchange for clients: auto or none.
    public var clientTLSDHEParams: DHEParams = .auto
    /// Elliptic curve for clients: auto, none or an OpenSSL curve name.
    public var clientTLSECDHCurve: ByteString = "auto"
    /// Private key of client_tls_cert_file.
    public var clientTLSKeyFile: ByteString = ""
    /// TLS versions offered to clients: tlsv1.0 to tlsv1.3, all, secure; !name removes one.
    public var clientTLSProtocols: ByteString = "secure"
    /// Whether clients may or must use TLS: disable, allow, prefer, require, verify-ca, verify-full.
    public var clientTLSSSLMode: SSLMode = .disable
    /// This file; changed on the console, the next reload reads another one.
    public var conffile: ByteString?
    /// Server connections allowed per database and user; 0 sets no limit.
    public var defaultPoolSize: Int = 20
    /// Refuse simple queries, so that one message cannot carry several statements.
    public var disablePQExec: Bool = false
    /// How long an answer of the name service is kept.
    public var dnsMaxTTL: TimeSpan = .seconds(15)
    /// How long a failed name look-up is kept.
    public var dnsNXDomainTTL: TimeSpan = .seconds(15)
    /// How often zone serials are checked for changes; 0 never checks.
    public var dnsZoneCheckPeriod: TimeSpan = .zero
    /// Close clients that are idle inside a transaction this long; 0 never does.
    public var idleTransactionTimeout: TimeSpan = .zero
    /// Startup parameters of clients that are accepted and dropped.
    public var ignoreStartupParameters: [ByteString] = []
    /// Move bytes with the kernel's io_uring: auto where it has one, yes or not at all, no for epoll.
    public var ioUring: UseOfIOUring = .auto
    /// Name of the service on Windows; has no effect here.
    public var jobName: ByteString = "pgbouncer"
    /// Addresses to listen on, separated by commas; * means all, empty only the Unix socket.
    public var listenAddr: [ByteString] = []
    /// Connections the kernel keeps waiting until they are accepted.
    public var listenBacklog: Int = 128
    /// Port to listen on, also part of the Unix socket's name.
    public var listenPort: UInt16 = 6432
    /// Log successful logins and new server connections.
    public var logConnections: Bool = true
    /// Log closed connections with the reason.
    public var logDisconnections: Bool = true
    /// How log lines are written: text as PgBouncer's, or json, one object a line.
    public var logFormat: LogFormat = .text
    /// Log the errors that the pooler itself sends to clients.
    public var logPoolerErrors: Bool = true
    /// Log a line of statistics every stats_period.
    public var logStats: Bool = true
    /// File the log is written to; empty: standard error only.
    public var logfile: ByteString = ""
    /// Notice sent to every client when its login is done; empty sends none.
    public var loginNotifyMessage: ByteString = ""
    /// Client connections allowed in total.
    public var maxClientConn: Int = 100
    /// Client connections allowed from one address, or one /64 of IPv6; 0 sets no limit.
    public var maxClientConnPerAddress: Int = 0
    /// Failed logins in a minute after which an address, or a /64 of IPv6, is refused; 0 sets no limit.
    public var maxFailedLoginsPerAddress: Int = 0
    /// Connections that have not proved yet who they are; 0: as many as max_client_conn, and at least 64.
    public var maxLoginConns: Int = 0
    /// Connections from proxies that are believed begin with a PROXY protocol header.
    public var proxyProtocol: Bool = false
    /// Addresses and networks of those proxies.
    public var proxyProtocolTrusted = AddressList()
    /// Client connections allowed per database; 0 sets no limit.
    public var maxDbClientConnections: Int = 0
    /// Server connections allowed per database over all users; 0 sets no limit.
    public var maxDbConnections: Int = 0
    /// Largest protocol message let through, in bytes.
    public var maxPacketSize: Int = 2_147_483_647
    /// Prepared statements kept per server in transaction and statement mode; 0 tracks none.
    public var maxPreparedStatements: Int = 200
    /// Client connections allowed per user; 0 sets no limit.
    public var maxUserClientConnections: Int = 0
    /// Server connections allowed per user over all databases; 0 sets no limit.
    public var maxUserConnections: Int = 0
    /// Keep at least this many server connections in a pool that is in use.
    public var minPoolSize: Int = 0
    /// Number of this process among its peers, inside cancel keys; 0 means it has none.
    public var peerID: Int = 0
    /// File the process number is written to; empty writes none.
    public var pidfile: ByteString = ""
    /// Size of the buffer for one connection, in bytes.
    public var pktBuf: Int = 4096
    /// When a server goes back to its pool: after a session, a transaction or a statement.
    public var poolMode: PoolMode = .session
    /// Free a pool that has no clients and no servers this long; 0 keeps it.
    public var poolIdleTimeout: TimeSpan = .zero
    /// Longest time a query may run; 0 sets no limit.
    public var queryTimeout: TimeSpan = .zero
    /// Tell a client that it waits for a server after this many seconds; 0 never does.
    public var queryWaitNotify: TimeSpan = .seconds(5)
    /// Longest time a client may wait for a server; 0 waits for ever.
    public var queryWaitTimeout: TimeSpan = .seconds(120)
    /// Extra server connections for a pool whose clients wait too long; 0 allows none.
    public var reservePoolSize: Int = 0
    /// Wait of the oldest client before the reserve is used; 0 never uses it.
    public var reservePoolTimeout: TimeSpan = .seconds(5)
    /// Resolver configuration to use instead of the system's.
    public var resolvConf: ByteString = ""
    /// Rounds of reading one connection before the others get their turn; 0 sets no limit.
    public var sbufLoopcnt: Int = 5
    /// Iteration count of SCRAM secrets made from plain passwords.
    public var scramIterations: Int = 4096
    /// A server idle for longer is checked before its next use; 0 checks after every release.
    public var serverCheckDelay: TimeSpan = .seconds(30)
    /// Query that checks a server; <empty> sends an empty query, nothing checks nothing.
    public var serverCheckQuery: ByteString = "<empty>"
    /// Longest time for connecting and logging in to a server.
    public var serverConnectTimeout: TimeSpan = .seconds(15)
    /// Close session-mode servers at once when they are to be replaced, together with their clients.
    public var serverFastClose: Bool = false
    /// Close servers that are idle this long; 0 never does.
    public var serverIdleTimeout: TimeSpan = .seconds(600)
    /// Close servers older than this when they are released; 0 uses each only once.
    public var serverLifetime: TimeSpan = .seconds(3600)
    /// Pause after a failed connection or login to a server.
    public var serverLoginRetry: TimeSpan = .seconds(15)
    /// Query run when a session-mode server is released; empty runs none.
    public var serverResetQuery: ByteString = "DISCARD ALL"
    /// Run server_reset_query in every pool mode.
    public var serverResetQueryAlways: Bool = false
    /// Use the server that is idle for longest instead of the one released last.
    public var serverRoundRobin: Bool = false
    /// Cipher suites of TLS 1.3 towards servers; not set: the library's default.
    public var serverTLS13Ciphers: ByteString?
    /// Certificate authority that must have signed server certificates.
    public var serverTLSCAFile: ByteString = ""
    /// Certificate shown to servers.
    public var serverTLSCertFile: ByteString = ""
    /// Ciphers up to TLS 1.2 towards servers: an OpenSSL list, or default, secure, normal, fast.
    public var serverTLSCiphers: ByteString = "default"
    /// Private key of server_tls_cert_file.
    public var serverTLSKeyFile: ByteString = ""
    /// TLS versions towards servers, as in client_tls_protocols.
    public var serverTLSProtocols: ByteString = "secure"
    /// TLS towards servers: disable, allow, prefer, require, verify-ca or verify-full.
    public var serverTLSSSLMode: SSLMode = .prefer
    /// How TLS towards servers begins.
    public var serverTLSNegotiation: TLSNegotiation = .postgres
    /// Let several processes listen on one port.
    public var soReuseport: Bool = false
    /// Period of averages and of the statistics line in the log, in seconds.
    public var statsPeriod: TimeSpan = .seconds(60)
    /// Users who may log in to the console and look, but change nothing.
    public var statsUsers: [ByteString] = []
    /// Work in a process of its own, which another one starts anew when it crashes.
    public var supervisor: Bool = false
    /// Longest time buffers are flushed in a suspend or restart; 0 waits for ever.
    public var suspendTimeout: TimeSpan = .seconds(10)
    /// Also log to syslog.
    public var syslog: Bool = false
    /// Facility of syslog messages: auth, authpriv, daemon, user, local0 to local7.
    public var syslogFacility: SyslogFacility = .daemon
    /// Program name in syslog messages.
    public var syslogIdent: ByteString = "pgbouncer"
    /// Wake up for a new client only when its first bytes are here.
    public var tcpDeferAccept: Bool = true
    /// Let the kernel probe idle connections.
    public var tcpKeepalive: Bool = true
    /// Unanswered probes that end a connection; 0 leaves it to the system.
    public var tcpKeepcnt: Int = 0
    /// Seconds of silence before the first probe; 0 leaves it to the system.
    public var tcpKeepidle: Int = 0
    /// Seconds between probes; 0 leaves it to the system.
    public var tcpKeepintvl: Int = 0
    /// Size of the kernel's socket buffers, in bytes; 0 leaves it to the system.
    public var tcpSocketBuffer: Int = 0
    /// Milliseconds sent bytes may stay unacknowledged; 0 leaves it to the system.
    public var tcpUserTimeout: Int = 0
    /// Reported parameters kept for each client besides the five always kept.
    public var trackExtraParameters: [ByteString] = ["IntervalStyle"]
    /// Close clients whose transaction is open this long; 0 never does.
    public var transactionTimeout: TimeSpan = .zero
    /// Directory of the Unix socket and of servers without a host; @name is abstract, empty none.
    public var unixSocketDir: ByteString = "/tmp"
    /// Group of the Unix socket.
    public var unixSocketGroup: ByteString = ""
    /// Permissions of the Unix socket, octal with a leading 0.
    public var unixSocketMode: Int = 0o777
    /// Unix user to become after the start.
    public var user: ByteString?
    /// More log lines: 1 debugging, 2 noise.
    public var verbose: Int = 0
    /// Threads that share the work; auto is one for each processor.
    public var workers: Int = 1

    public init() {}
}

extension GlobalSettings {
    /// The query that checks an idle server: `nil` for no check, no bytes at all for an empty query.
    public var effectiveCheckQuery: ByteString? {
        if serverCheckQuery.isEmpty { return nil }
        return serverCheckQuery == "<empty>" ? "" : serverCheckQuery
    }
}
