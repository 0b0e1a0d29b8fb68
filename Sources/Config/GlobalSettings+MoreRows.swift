import Primitives

/// The second half of the table, apart from the first only to keep the files short.
extension GlobalSettings {
    static let rowsFromMax: [Setting] = [
        Setting(
            "max_client_conn", \.maxClientConn, .count(0...Limits.largestInteger),
            "Client connections allowed in total."),
        Setting(
            "max_client_conn_per_address", \.maxClientConnPerAddress, .limit,
            "Client connections allowed from one address, or one /64 of IPv6; 0 sets no limit."),
        Setting(
            "max_db_client_connections", \.maxDbClientConnections, .limit,
            "Client connections allowed per database; 0 sets no limit."),
        Setting(
            "max_db_connections", \.maxDbConnections, .limit,
            "Server connections allowed per database over all users; 0 sets no limit."),
        Setting(
            "max_failed_logins_per_address", \.maxFailedLoginsPerAddress, .limit,
            "Failed logins in a minute after which an address, or a /64 of IPv6, is refused until the "
                + "minute is over; 0 sets no limit."),
        Setting(
            "max_login_conns", \.maxLoginConns, .limit,
            "Connections that have not proved yet who they are; for one more the oldest of them is "
                + "closed. 0: as many as max_client_conn, and at least 64."),
        Setting(
            "max_packet_size", \.maxPacketSize, .size(1...4_294_967_295),
            "Largest protocol message let through, in bytes."),
        Setting(
            "max_prepared_statements", \.maxPreparedStatements, .count(0...Limits.largestInteger),
            "Prepared statements kept per server in transaction and statement mode; 0 tracks none."),
        Setting(
            "max_user_client_connections", \.maxUserClientConnections, .limit,
            "Client connections allowed per user; 0 sets no limit."),
        Setting(
            "max_user_connections", \.maxUserConnections, .limit,
            "Server connections allowed per user over all databases; 0 sets no limit."),
        Setting(
            "min_pool_size", \.minPoolSize, .count(0...Limits.largestInteger),
            "Keep at least this many server connections in a pool that is in use."),
        Setting(
            "peer_id", \.peerID, .count(0...16_383), reload: .newConnections,
            "Number of this process among its peers, inside cancel keys; 0 means it has none."),
        Setting(
            "pidfile", \.pidfile, .text, reload: .restart,
            "File the process number is written to; empty writes none."),
        Setting(
            "pkt_buf", \.pktBuf, .size(16...Limits.largestInteger), reload: .restart,
            "Size of the buffer for one connection, in bytes."),
        Setting(
            "pool_mode", \.poolMode, .choice(),
            "When a server goes back to its pool: after a session, a transaction or a statement."),
        Setting(
            "pool_idle_timeout", \.poolIdleTimeout, .time,
            "Free a pool that has no clients and no servers this long; 0 keeps it."),
        Setting(
            "proxy_protocol", \.proxyProtocol, .flag, reload: .newConnections,
            "Connections from proxy_protocol_trusted begin with a PROXY protocol header, version 1 or 2, and "
                + "count as coming from the address it tells."),
        Setting(
            "proxy_protocol_trusted", \.proxyProtocolTrusted, .networks, reload: .newConnections,
            "Addresses and networks of the proxies that are believed under proxy_protocol."),
        Setting(
            "query_timeout", \.queryTimeout, .time,
            "Longest time a query may run; 0 sets no limit."),
        Setting(
            "query_wait_notify", \.queryWaitNotify, .wholeSeconds(0...Limits.largestInteger),
            "Tell a client that it waits for a server after this many seconds; 0 never does."),
        Setting(
            "query_wait_timeout", \.queryWaitTimeout, .time,
            "Longest time a client may wait for a server; 0 waits for ever."),
        Setting(
            "reserve_pool_size", \.reservePoolSize, .count(0...Limits.largestInteger),
            "Extra server connections for a pool whose clients wait too long; 0 allows none."),
        Setting(
            "reserve_pool_timeout", \.reservePoolTimeout, .time,
            "Wait of the oldest client before the reserve is used; 0 never uses it."),
        Setting(
            "resolv_conf", \.resolvConf, .text, reload: .restart,
            "Resolver configuration to use instead of the system's."),
        Setting(
            "sbuf_loopcnt", \.sbufLoopcnt, .count(0...Limits.largestInteger),
            "Rounds of reading one connection before the others get their turn; 0 sets no limit."),
        Setting(
            "scram_iterations", \.scramIterations, .count(1...Limits.largestInteger),
            "Iteration count of SCRAM secrets made from plain passwords."),
        Setting(
            "server_check_delay", \.serverCheckDelay, .time,
            "A server idle for longer is checked before its next use; 0 checks after every release."),
        Setting(
            "server_check_query", \.serverCheckQuery, .text,
            "Query that checks a server; <empty> sends an empty query, nothing checks nothing."),
        Setting(
            "server_connect_timeout", \.serverConnectTimeout, .time,
            "Longest time for connecting and logging in to a server."),
        Setting(
            "server_fast_close", \.serverFastClose, .flag,
            "Close session-mode servers at once when they are to be replaced, together with their clients."),
        Setting(
            "server_idle_timeout", \.serverIdleTimeout, .time,
            "Close servers that are idle this long; 0 never does."),
        Setting(
            "server_lifetime", \.serverLifetime, .time,
            "Close servers older than this when they are released; 0 uses each only once."),
        Setting(
            "server_login_retry", \.serverLoginRetry, .time,
            "Pause after a failed connection or login to a server."),
        Setting(
            "server_reset_query", \.serverResetQuery, .text,
            "Query run when a session-mode server is released; empty runs none."),
        Setting(
            "server_reset_query_always", \.serverResetQueryAlways, .flag,
            "Run server_reset_query in every pool mode."),
        Setting(
            "server_round_robin", \.serverRoundRobin, .flag,
            "Use the server that is idle for longest instead of the one released last."),
        Setting(
            "server_tls13_ciphers", \.serverTLS13Ciphers, .optionalText, reload: .newPools,
            "Cipher suites of TLS 1.3 towards servers; not set: the library's default."),
        Setting(
            "server_tls_ca_file", \.serverTLSCAFile, .text, reload: .newPools,
            "Certificate authority that must have signed server certificates."),
        Setting(
            "server_tls_cert_file", \.serverTLSCertFile, .text, reload: .newPools,
            "Certificate shown to servers."),
        Setting(
            "server_tls_ciphers", \.serverTLSCiphers, .text, reload: .newPools,
            "Ciphers up to TLS 1.2 towards servers: an OpenSSL list, or default, secure, normal, fast."),
        Setting(
            "server_tls_key_file", \.serverTLSKeyFile, .text, reload: .newPools,
            "Private key of server_tls_cert_file."),
        Setting(
            "server_tls_negotiation", \.serverTLSNegotiation, .choice(), reload: .newPools,
            "How TLS towards servers begins: postgres asks first; direct does not, which saves a round "
                + "trip, and needs PostgreSQL 17 and server_tls_sslmode require or higher."),
        Setting(
            "server_tls_protocols", \.serverTLSProtocols, .text, reload: .newPools,
            "TLS versions towards servers, as in client_tls_protocols."),
        Setting(
            "server_tls_sslmode", \.serverTLSSSLMode, .choice(), reload: .newPools,
            "TLS towards servers: disable, allow, prefer, require, verify-ca or verify-full."),
        Setting(
            "so_reuseport", \.soReuseport, .flag, reload: .restart,
            "Let several processes listen on one port."),
        Setting(
            "stats_period", \.statsPeriod, .wholeSeconds(1...Limits.largestInteger),
            "Period of averages and of the statistics line in the log, in seconds."),
        Setting(
            "stats_users", \.statsUsers, .list,
            "Users who may log in to the console and look, but change nothing."),
        Setting(
            "supervisor", \.supervisor, .flag, reload: .restart,
            "Work in a process of its own, which another one starts anew when it crashes."),
        Setting(
            "suspend_timeout", \.suspendTimeout, .time,
            "Longest time buffers are flushed in a suspend or restart; 0 waits for ever."),
        Setting(
            "syslog", \.syslog, .flag,
            "Also log to syslog."),
        Setting(
            "syslog_facility", \.syslogFacility, .choice(),
            "Facility of syslog messages: auth, authpriv, daemon, user, local0 to local7."),
        Setting(
            "syslog_ident", \.syslogIdent, .text,
            "Program name in syslog messages."),
        Setting(
            "tcp_defer_accept", \.tcpDeferAccept, .flag,
            "Wake up for a new client only when its first bytes are here."),
        Setting(
            "tcp_keepalive", \.tcpKeepalive, .flag, reload: .newConnections,
            "Let the kernel probe idle connections."),
        Setting(
            "tcp_keepcnt", \.tcpKeepcnt, .count(0...Limits.largestInteger), reload: .newConnections,
            "Unanswered probes that end a connection; 0 leaves it to the system."),
        Setting(
            "tcp_keepidle", \.tcpKeepidle, .whole(.seconds), reload: .newConnections,
            "Seconds of silence before the first probe; 0 leaves it to the system."),
        Setting(
            "tcp_keepintvl", \.tcpKeepintvl, .whole(.seconds), reload: .newConnections,
            "Seconds between probes; 0 leaves it to the system."),
        Setting(
            "tcp_socket_buffer", \.tcpSocketBuffer, .size(0...Limits.largestInteger), reload: .newConnections,
            "Size of the kernel's socket buffers, in bytes; 0 leaves it to the system."),
        Setting(
            "tcp_user_timeout", \.tcpUserTimeout, .whole(.milliseconds), reload: .newConnections,
            "Milliseconds sent bytes may stay unacknowledged; 0 leaves it to the system."),
        Setting(
            "track_extra_parameters", \.trackExtraParameters, .list, reload: .restart,
            "Reported parameters kept for each client besides the five always kept."),
        Setting(
            "transaction_timeout", \.transactionTimeout, .time,
            "Close clients whose transaction is open this long; 0 never does."),
        Setting(
            "unix_socket_dir", \.unixSocketDir, .text, reload: .restart,
            "Directory of the Unix socket and of servers without a host; @name is abstract, empty none."),
        Setting(
            "unix_socket_group", \.unixSocketGroup, .text, reload: .restart,
            "Group of the Unix socket."),
        Setting(
            "unix_socket_mode", \.unixSocketMode, .count(0...0o7777), reload: .restart,
            shownDefault: .text("0777"),
            "Permissions of the Unix socket, octal with a leading 0."),
        Setting(
            "user", \.user, .optionalText, reload: .restart,
            "Unix user to become after the start."),
        Setting(
            "verbose", \.verbose, .count(0...10), shownDefault: .null,
            "More log lines: 1 debugging, 2 noise."),
        Setting(
            "workers", \.workers, .workers, reload: .restart,
            "Threads that share the work; auto is one for each processor."),
    ]
}
