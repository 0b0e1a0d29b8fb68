package import Primitives

/// Every setting of the `[pgbouncer]` section, with its default: one property here and one row in
/// `GlobalSettings+Rows.swift`. Parser, console, reload rule, `conf/pglido.ini` and the README come from the
/// row.
package struct GlobalSettings: Equatable, Sendable {
    /// Users who may log in to the console and run every command; checked when they log in.
    package var adminUsers: [ByteString] = []
    /// Append the client address and port to the application_name a client sends at its start.
    package var applicationNameAddHost: Bool = false
    /// Database entry on which auth_query runs; not set: the database the client asked for.
    package var authDbname: ByteString?
    /// File with user names and passwords or secrets, one "name" "secret" pair a line.
    package var authFile: ByteString?
    /// File with host-based access rules, used when auth_type is hba.
    package var authHBAFile: ByteString = ""
    /// File with maps from system names to role names, used when auth_type is hba.
    package var authIdentFile: ByteString?
    /// LDAP parameters, used when auth_type is ldap.
    package var authLDAPOptions: ByteString?
    /// Query with one parameter, the user name, that returns that user's name and secret.
    package var authQuery: ByteString = """
        SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END \
        FROM pg_authid WHERE rolname=$1 AND rolcanlogin
        """
    /// How clients prove who they are: any, trust, plain, md5, scram-sha-256, cert, hba, ldap or pam.
    package var authType: AuthType = .md5
    /// User that runs auth_query for names missing from auth_file; not set: such names are refused.
    package var authUser: ByteString?
    /// Drop a database that the * entry made once it is unused this long; 0 keeps it.
    package var autodbIdleTimeout: TimeSpan = .seconds(3600)
    /// Longest time a cancel request waits for a server connection; 0 waits for ever.
    package var cancelWaitTimeout: TimeSpan = .seconds(10)
    /// Close clients that are idle outside a transaction this long; 0 never does.
    package var clientIdleTimeout: TimeSpan = .zero
    /// Close clients that have not finished logging in after this time; 0 never does.
    package var clientLoginTimeout: TimeSpan = .seconds(60)
    /// Cipher suites of TLS 1.3 for clients; not set: the library's default.
    package var clientTLS13Ciphers: ByteString?
    /// Certificate authority that must have signed client certificates.
    package var clientTLSCAFile: ByteString = ""
    /// Certificate shown to clients.
    package var clientTLSCertFile: ByteString = ""
    /// Ciphers up to TLS 1.2 for clients: an OpenSSL list, or default, secure, normal, fast.
    package var clientTLSCiphers: ByteString = "default"
    /// Diffie-Hellman key exchange for clients: auto or none.
    package var clientTLSDHEParams: DHEParams = .auto
    /// Elliptic curve for clients: auto, none or an OpenSSL curve name.
    package var clientTLSECDHCurve: ByteString = "auto"
    /// Private key of client_tls_cert_file.
    package var clientTLSKeyFile: ByteString = ""
    /// TLS versions offered to clients: tlsv1.0 to tlsv1.3, all, secure; !name removes one.
    package var clientTLSProtocols: ByteString = "secure"
    /// Whether clients may or must use TLS: disable, allow, prefer, require, verify-ca, verify-full.
    package var clientTLSSSLMode: SSLMode = .disable
    /// This file; changed on the console, the next reload reads another one.
    package var conffile: ByteString?
    /// Server connections allowed per database and user; 0 sets no limit.
    package var defaultPoolSize: Int = 20
    /// Refuse simple queries, so that one message cannot carry several statements.
    package var disablePQExec: Bool = false
    /// How long an answer of the name service is kept.
    package var dnsMaxTTL: TimeSpan = .seconds(15)
    /// How long a failed name look-up is kept.
    package var dnsNXDomainTTL: TimeSpan = .seconds(15)
    /// How often zone serials are checked for changes; 0 never checks.
    package var dnsZoneCheckPeriod: TimeSpan = .zero
    /// Close clients that are idle inside a transaction this long; 0 never does.
    package var idleTransactionTimeout: TimeSpan = .zero
    /// Startup parameters of clients that are accepted and dropped.
    package var ignoreStartupParameters: [ByteString] = []
    /// Name of the service on Windows; has no effect here.
    package var jobName: ByteString = "pgbouncer"
    /// Addresses to listen on, separated by commas; * means all, empty only the Unix socket.
    package var listenAddr: [ByteString] = []
    /// Connections the kernel keeps waiting until they are accepted.
    package var listenBacklog: Int = 128
    /// Port to listen on, also part of the Unix socket's name.
    package var listenPort: UInt16 = 6432
    /// Log successful logins and new server connections.
    package var logConnections: Bool = true
    /// Log closed connections with the reason.
    package var logDisconnections: Bool = true
    /// Log the errors that the pooler itself sends to clients.
    package var logPoolerErrors: Bool = true
    /// Log a line of statistics every stats_period.
    package var logStats: Bool = true
    /// File the log is written to; empty: standard error only.
    package var logfile: ByteString = ""
    /// Notice sent to every client when its login is done; empty sends none.
    package var loginNotifyMessage: ByteString = ""
    /// Client connections allowed in total.
    package var maxClientConn: Int = 100
    /// Client connections allowed per database; 0 sets no limit.
    package var maxDbClientConnections: Int = 0
    /// Server connections allowed per database over all users; 0 sets no limit.
    package var maxDbConnections: Int = 0
    /// Largest protocol message let through, in bytes.
    package var maxPacketSize: Int = 2_147_483_647
    /// Prepared statements kept per server in transaction and statement mode; 0 tracks none.
    package var maxPreparedStatements: Int = 200
    /// Client connections allowed per user; 0 sets no limit.
    package var maxUserClientConnections: Int = 0
    /// Server connections allowed per user over all databases; 0 sets no limit.
    package var maxUserConnections: Int = 0
    /// Keep at least this many server connections in a pool that is in use.
    package var minPoolSize: Int = 0
    /// Number of this process among its peers, inside cancel keys; 0 means it has none.
    package var peerID: Int = 0
    /// File the process number is written to; empty writes none.
    package var pidfile: ByteString = ""
    /// Size of the buffer for one connection, in bytes.
    package var pktBuf: Int = 4096
    /// When a server goes back to its pool: after a session, a transaction or a statement.
    package var poolMode: PoolMode = .session
    /// Free a pool that has no clients and no servers this long; 0 keeps it.
    package var poolIdleTimeout: TimeSpan = .zero
    /// Longest time a query may run; 0 sets no limit.
    package var queryTimeout: TimeSpan = .zero
    /// Tell a client that it waits for a server after this many seconds; 0 never does.
    package var queryWaitNotify: TimeSpan = .seconds(5)
    /// Longest time a client may wait for a server; 0 waits for ever.
    package var queryWaitTimeout: TimeSpan = .seconds(120)
    /// Extra server connections for a pool whose clients wait too long; 0 allows none.
    package var reservePoolSize: Int = 0
    /// Wait of the oldest client before the reserve is used; 0 never uses it.
    package var reservePoolTimeout: TimeSpan = .seconds(5)
    /// Resolver configuration to use instead of the system's.
    package var resolvConf: ByteString = ""
    /// Rounds of reading one connection before the others get their turn; 0 sets no limit.
    package var sbufLoopcnt: Int = 5
    /// Iteration count of SCRAM secrets made from plain passwords.
    package var scramIterations: Int = 4096
    /// A server idle for longer is checked before its next use; 0 checks after every release.
    package var serverCheckDelay: TimeSpan = .seconds(30)
    /// Query that checks a server; <empty> sends an empty query, nothing checks nothing.
    package var serverCheckQuery: ByteString = "<empty>"
    /// Longest time for connecting and logging in to a server.
    package var serverConnectTimeout: TimeSpan = .seconds(15)
    /// Close session-mode servers at once when they are to be replaced, together with their clients.
    package var serverFastClose: Bool = false
    /// Close servers that are idle this long; 0 never does.
    package var serverIdleTimeout: TimeSpan = .seconds(600)
    /// Close servers older than this when they are released; 0 uses each only once.
    package var serverLifetime: TimeSpan = .seconds(3600)
    /// Pause after a failed connection or login to a server.
    package var serverLoginRetry: TimeSpan = .seconds(15)
    /// Query run when a session-mode server is released; empty runs none.
    package var serverResetQuery: ByteString = "DISCARD ALL"
    /// Run server_reset_query in every pool mode.
    package var serverResetQueryAlways: Bool = false
    /// Use the server that is idle for longest instead of the one released last.
    package var serverRoundRobin: Bool = false
    /// Cipher suites of TLS 1.3 towards servers; not set: the library's default.
    package var serverTLS13Ciphers: ByteString?
    /// Certificate authority that must have signed server certificates.
    package var serverTLSCAFile: ByteString = ""
    /// Certificate shown to servers.
    package var serverTLSCertFile: ByteString = ""
    /// Ciphers up to TLS 1.2 towards servers: an OpenSSL list, or default, secure, normal, fast.
    package var serverTLSCiphers: ByteString = "default"
    /// Private key of server_tls_cert_file.
    package var serverTLSKeyFile: ByteString = ""
    /// TLS versions towards servers, as in client_tls_protocols.
    package var serverTLSProtocols: ByteString = "secure"
    /// TLS towards servers: disable, allow, prefer, require, verify-ca or verify-full.
    package var serverTLSSSLMode: SSLMode = .prefer
    /// Let several processes listen on one port.
    package var soReuseport: Bool = false
    /// Period of averages and of the statistics line in the log, in seconds.
    package var statsPeriod: TimeSpan = .seconds(60)
    /// Users who may log in to the console and look, but change nothing.
    package var statsUsers: [ByteString] = []
    /// Longest time buffers are flushed in a suspend or restart; 0 waits for ever.
    package var suspendTimeout: TimeSpan = .seconds(10)
    /// Also log to syslog.
    package var syslog: Bool = false
    /// Facility of syslog messages: auth, authpriv, daemon, user, local0 to local7.
    package var syslogFacility: SyslogFacility = .daemon
    /// Program name in syslog messages.
    package var syslogIdent: ByteString = "pgbouncer"
    /// Wake up for a new client only when its first bytes are here.
    package var tcpDeferAccept: Bool = true
    /// Let the kernel probe idle connections.
    package var tcpKeepalive: Bool = true
    /// Unanswered probes that end a connection; 0 leaves it to the system.
    package var tcpKeepcnt: Int = 0
    /// Seconds of silence before the first probe; 0 leaves it to the system.
    package var tcpKeepidle: Int = 0
    /// Seconds between probes; 0 leaves it to the system.
    package var tcpKeepintvl: Int = 0
    /// Size of the kernel's socket buffers, in bytes; 0 leaves it to the system.
    package var tcpSocketBuffer: Int = 0
    /// Milliseconds sent bytes may stay unacknowledged; 0 leaves it to the system.
    package var tcpUserTimeout: Int = 0
    /// Reported parameters kept for each client besides the five always kept.
    package var trackExtraParameters: [ByteString] = ["IntervalStyle"]
    /// Close clients whose transaction is open this long; 0 never does.
    package var transactionTimeout: TimeSpan = .zero
    /// Directory of the Unix socket and of servers without a host; @name is abstract, empty none.
    package var unixSocketDir: ByteString = "/tmp"
    /// Group of the Unix socket.
    package var unixSocketGroup: ByteString = ""
    /// Permissions of the Unix socket, octal with a leading 0.
    package var unixSocketMode: Int = 0o777
    /// Unix user to become after the start.
    package var user: ByteString?
    /// More log lines: 1 debugging, 2 noise.
    package var verbose: Int = 0

    package init() {}
}

extension GlobalSettings {
    /// The query that checks an idle server: `nil` for no check, no bytes at all for an empty query.
    package var effectiveCheckQuery: ByteString? {
        if serverCheckQuery.isEmpty { return nil }
        return serverCheckQuery == "<empty>" ? "" : serverCheckQuery
    }
}
