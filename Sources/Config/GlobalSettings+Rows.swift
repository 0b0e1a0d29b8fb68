public import Primitives

extension GlobalSettings {
    /// Every setting, in the order of `SHOW CONFIG`: by name, except that pool_mode precedes
    /// pool_idle_timeout.
    public static let rows: [Setting] = rowsToLogin + rowsFromMax

    /// The row of a setting, if there is one with exactly this name.
    public static func row(named name: ByteString) -> Setting? {
        places[name].map { rows[$0] }
    }

    private static let places: [ByteString: Int] = {
        var places: [ByteString: Int] = [:]
        for (place, row) in rows.enumerated() { places[ByteString(row.name)] = place }
        return places
    }()

    private static let rowsToLogin: [Setting] = [
        Setting(
            "admin_users", \.adminUsers, .list,
            "Users who may log in to the console and run every command; checked when they log in."),
        Setting(
            "application_name_add_host", \.applicationNameAddHost, .flag, reload: .newConnections,
            "Append the client address and port to the application_name a client sends at its start."),
        Setting(
            "auth_dbname", \.authDbname, .authDatabase,
            "Database entry on which auth_query runs; not set: the database the client asked for."),
        Setting(
            "auth_file", \.authFile, .optionalText,
            "File with user names and passwords or secrets, one \"name\" \"secret\" pair a line."),
        Setting(
            "auth_hba_file", \.authHBAFile, .text,
            "File with host-based access rules, used when auth_type is hba."),
        Setting(
            "auth_ident_file", \.authIdentFile, .optionalText,
            "File with maps from system names to role names, used when auth_type is hba."),
        Setting(
            "auth_ldap_options", \.authLDAPOptions, .ldapOptions,
            "LDAP parameters, used when auth_type is ldap."),
        Setting(
            "auth_query", \.authQuery, .text,
            "Query with one parameter, the user name, that returns that user's name and secret."),
        Setting(
            "auth_type", \.authType, .choice(), reload: .newConnections,
            "How clients prove who they are: any, trust, plain, md5, scram-sha-256, cert, hba, ldap or pam."),
        Setting(
            "auth_user", \.authUser, .optionalText,
            "User that runs auth_query for names missing from auth_file; not set: such names are refused."),
        Setting(
            "autodb_idle_timeout", \.autodbIdleTimeout, .time,
            "Drop a database that the * entry made once it is unused this long; 0 keeps it."),
        Setting(
            "cancel_wait_timeout", \.cancelWaitTimeout, .time,
            "Longest time a cancel request waits for a server connection; 0 waits for ever."),
        Setting(
            "client_idle_timeout", \.clientIdleTimeout, .time,
            "Close clients that are idle outside a transaction this long; 0 never does."),
        Setting(
            "client_login_timeout", \.clientLoginTimeout, .time,
            "Close clients that have not finished logging in after this time; 0 never does."),
        Setting(
            "client_tls13_ciphers", \.clientTLS13Ciphers, .optionalText, reload: .newConnections,
            "Cipher suites of TLS 1.3 for clients; not set: the library's default."),
        Setting(
            "client_tls_ca_file", \.clientTLSCAFile, .text, reload: .newConnections,
            "Certificate authority that must have signed client certificates."),
        Setting(
            "client_tls_cert_file", \.clientTLSCertFile, .text, reload: .newConnections,
            "Certificate shown to clients."),
        Setting(
            "client_tls_ciphers", \.clientTLSCiphers, .text, reload: .newConnections,
            "Ciphers up to TLS 1.2 for clients: an OpenSSL list, or default, secure, normal, fast."),
        Setting(
            "client_tls_dheparams", \.clientTLSDHEParams, .choice(), reload: .newConnections,
            "Diffie-Hellman key exchange for clients: auto or none."),
        Setting(
            "client_tls_ecdhcurve", \.clientTLSECDHCurve, .text, reload: .newConnections,
            "Elliptic curve for clients: auto, none or an OpenSSL curve name."),
        Setting(
            "client_tls_key_file", \.clientTLSKeyFile, .text, reload: .newConnections,
            "Private key of client_tls_cert_file."),
        Setting(
            "client_tls_protocols", \.clientTLSProtocols, .text, reload: .newConnections,
            "TLS versions offered to clients: tlsv1.0 to tlsv1.3, all, secure; !name removes one."),
        Setting(
            "client_tls_sslmode", \.clientTLSSSLMode, .choice(), reload: .newConnections,
            "Whether clients may or must use TLS: disable, allow, prefer, require, verify-ca, verify-full."),
        Setting(
            "conffile", \.conffile, .optionalText,
            "This file; changed on the console, the next reload reads another one."),
        Setting(
            "default_pool_size", \.defaultPoolSize, .count(0...Limits.largestInteger),
            "Server connections allowed per database and user; 0 sets no limit."),
        Setting(
            "disable_pqexec", \.disablePQExec, .flag, reload: .restart,
            "Refuse simple queries, so that one message cannot carry several statements."),
        Setting(
            "dns_max_ttl", \.dnsMaxTTL, .time,
            "How long an answer of the name service is kept."),
        Setting(
            "dns_nxdomain_ttl", \.dnsNXDomainTTL, .time,
            "How long a failed name look-up is kept."),
        Setting(
            "dns_zone_check_period", \.dnsZoneCheckPeriod, .time,
            "How often zone serials are checked for changes; 0 never checks."),
        Setting(
            "idle_transaction_timeout", \.idleTransactionTimeout, .time,
            "Close clients that are idle inside a transaction this long; 0 never does."),
        Setting(
            "ignore_startup_parameters", \.ignoreStartupParameters, .list, reload: .newConnections,
            "Startup parameters of clients that are accepted and dropped."),
        Setting(
            "io_uring", \.ioUring, .choice(), reload: .restart,
            "Move bytes with the kernel's io_uring: auto where it has one, yes or not at all, no for epoll."),
        Setting(
            "job_name", \.jobName, .text, reload: .restart,
            "Name of the service on Windows; has no effect here."),
        Setting(
            "listen_addr", \.listenAddr, .list, reload: .restart,
            "Addresses to listen on, separated by commas; * means all, empty only the Unix socket."),
        Setting(
            "listen_backlog", \.listenBacklog, .count(-1...Limits.largestInteger), reload: .restart,
            "Connections the kernel keeps waiting until they are accepted."),
        Setting(
            "listen_port", \.listenPort, .port, reload: .restart,
            "Port to listen on, also part of the Unix socket's name."),
        Setting(
            "log_connections", \.logConnections, .flag,
            "Log successful logins and new server connections."),
        Setting(
            "log_disconnections", \.logDisconnections, .flag,
            "Log closed connections with the reason."),
        Setting(
            "log_format", \.logFormat, .choice(),
            "How log lines are written: text, as PgBouncer's, or json, one object a line."),
        Setting(
            "log_pooler_errors", \.logPoolerErrors, .flag,
            "Log the errors that the pooler itself sends to clients."),
        Setting(
            "log_stats", \.logStats, .flag,
            "Log a line of statistics every stats_period."),
        Setting(
            "logfile", \.logfile, .text,
            "File the log is written to; empty: standard error only."),
        Setting(
            "login_notify_message", \.loginNotifyMessage, .text, reload: .newConnections,
            "Notice sent to every client when its login is done; empty sends none."),
    ]
}
