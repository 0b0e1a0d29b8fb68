import Primitives

/// A kind of log line, by the words it starts with. The names are part of the interface of
/// `log_format = json`: they stay when a text changes.
package struct LogEvent: Sendable {
    package let name: StaticString
    /// What the message starts with.
    let start: StaticString
    package let doc: StaticString

    /// Longer starts stand before the shorter ones they begin with; the first that fits counts.
    package static let all: [LogEvent] = [
        // processes
        LogEvent(name: "process_up", start: "process up: ", doc: "Clients are accepted from here on"),
        LogEvent(name: "file_limit", start: "kernel file descriptor limit: ", doc: "Limits on open files"),
        LogEvent(name: "listening", start: "listening on ", doc: "A socket is listened on"),
        LogEvent(name: "listen_failed", start: "cannot listen on ", doc: "An address cannot be listened on"),
        LogEvent(name: "listen_failed", start: "getaddrinfo(", doc: "A listen_addr has no address"),
        LogEvent(
            name: "socket_passed", start: "socket passed from service manager",
            doc: "A socket came from systemd"),
        LogEvent(
            name: "setting_ignored", start: "sockets passed from service manager",
            doc: "Passed sockets replace a setting"),
        LogEvent(
            name: "stale_pidfile", start: "stale pidfile", doc: "A pidfile of a dead process is removed"),
        LogEvent(name: "signal", start: "got SIG", doc: "A signal has come"),
        LogEvent(name: "takeover", start: "takeover", doc: "An online restart begins, or why it fails"),
        LogEvent(name: "takeover", start: "login OK, sending SUSPEND", doc: "The old process is there"),
        LogEvent(name: "takeover", start: "SUSPEND finished", doc: "The old process stands still"),
        LogEvent(name: "takeover", start: "got pooler socket: ", doc: "A listening socket is taken over"),
        LogEvent(name: "takeover", start: "SHOW FDS finished", doc: "All sockets have come"),
        LogEvent(name: "takeover", start: "old process ", doc: "The old process has ended, or is not there"),
        LogEvent(
            name: "exiting", start: "server connections dropped, exiting", doc: "A shutdown is complete"),
        LogEvent(
            name: "exiting", start: "client connections dropped, exiting", doc: "A shutdown is complete"),
        LogEvent(name: "out_of_files", start: "accept() failed: ", doc: "A client cannot be accepted"),
        LogEvent(name: "stats", start: "stats: ", doc: "Averages of the last stats_period"),
        // configuration
        LogEvent(name: "config_error", start: "cannot load config file", doc: "The process cannot start"),
        LogEvent(
            name: "config_error", start: "config file loading failed",
            doc: "A reload is refused; nothing changes"),
        LogEvent(
            name: "config_error", start: "could not load file ", doc: "A configuration file cannot be read"),
        LogEvent(
            name: "config_error", start: "syntax error in configuration", doc: "A line cannot be understood"),
        LogEvent(name: "config_error", start: "invalid value ", doc: "A value does not fit its setting"),
        LogEvent(name: "config_error", start: "unknown parameter: ", doc: "There is no such setting"),
        LogEvent(name: "config_error", start: "invalid section ", doc: "There is no such section"),
        LogEvent(name: "config_error", start: "load_init_file: ", doc: "A part of the file is missing"),
        LogEvent(
            name: "config_error", start: "include nesting level ", doc: "Too many files inside one another"),
        LogEvent(
            name: "config_error", start: "error processing include file ",
            doc: "An included file cannot be read"),
        LogEvent(
            name: "config_restart_needed", start: "parameter ", doc: "A changed setting waits for a restart"),
        LogEvent(
            name: "auth_file_error", start: "could not open auth_file ", doc: "The user list cannot be read"),
        LogEvent(
            name: "auth_file_error", start: "broken auth file",
            doc: "A line of the user list cannot be understood"),
        LogEvent(
            name: "auth_file_error", start: "username too long in auth file",
            doc: "A name of the user list is too long"),
        LogEvent(
            name: "auth_file_error", start: "password too long in auth file",
            doc: "A secret of the user list is too long"),
        LogEvent(
            name: "log_file_error", start: "could not open log file ",
            doc: "The log file cannot be opened again"),
        // clients
        LogEvent(name: "login_attempt", start: "login attempt: ", doc: "A client has said who it is"),
        LogEvent(name: "login_failed", start: "login failed: ", doc: "A client could not prove who it is"),
        LogEvent(name: "no_such_user", start: "no such user: ", doc: "A client's user is not known"),
        LogEvent(
            name: "console_login", start: "pgbouncer access from unix socket",
            doc: "The process's own user is on the console"),
        LogEvent(
            name: "client_error", start: "pooler error: ", doc: "The pooler has refused a client something"),
        LogEvent(
            name: "pool_reserve_used", start: "taking connection from reserve_pool",
            doc: "A client has waited longer than reserve_pool_timeout"),
        // both
        LogEvent(
            name: "closed", start: "closing because: ",
            doc: "A connection ends; also has `reason` and `age_seconds`"),
        LogEvent(name: "tls_established", start: "SSL established: ", doc: "A connection is encrypted"),
        LogEvent(
            name: "tls_error", start: "TLS handshake error: ", doc: "A connection could not be encrypted"),
        // servers
        LogEvent(
            name: "server_opened", start: "new connection to server", doc: "A server connection is open"),
        LogEvent(
            name: "server_login_failed", start: "server login failed: ", doc: "PostgreSQL refuses a login"),
        LogEvent(
            name: "server_connect_failed", start: "sbuf_connect failed to connect to ",
            doc: "A server cannot be reached"),
        LogEvent(name: "dns_lookup_failed", start: "DNS lookup failed: ", doc: "A host has no address"),
        LogEvent(
            name: "dns_zone_changed", start: "zone '",
            doc: "A zone has another serial; its names are looked up again"),
        LogEvent(
            name: "dns_changed", start: "host '",
            doc: "A host has other addresses; servers at the old ones are replaced"),
        LogEvent(
            name: "server_unexpected_message", start: "got packet ",
            doc: "A server says something nobody asked for"),
        LogEvent(
            name: "server_protocol_error", start: "server broke the protocol",
            doc: "A server breaks the framing"),
        LogEvent(
            name: "server_query_failed", start: "query of the pooler failed: ",
            doc: "A reset or check query failed"),
        LogEvent(
            name: "server_query_failed", start: "S: error while executing exec_on_query: ",
            doc: "A connect_query failed"),
        LogEvent(
            name: "server_parameter_failed", start: "varcache_apply failed: ",
            doc: "A server refuses a client's parameter"),
        LogEvent(
            name: "server_parameter", start: "varcache_apply: ",
            doc: "A client's parameters are set on a server"),
        // databases and pools
        LogEvent(
            name: "database_added", start: "registered new auto-database: ",
            doc: "The * entry has made a database"),
        LogEvent(name: "database_removed", start: "dropping database ", doc: "A database is gone"),
        LogEvent(
            name: "pool_removed", start: "cleaning up idle pool ",
            doc: "A pool has been unused for pool_idle_timeout"),
        // the console
        LogEvent(name: "console_command", start: "PAUSE ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "RESUME ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "RELOAD ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "KILL ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "DISABLE ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "ENABLE ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "RECONNECT ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "SUSPEND ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "WAIT_CLOSE ", doc: "An operator's command"),
        LogEvent(name: "console_command", start: "SHUTDOWN ", doc: "An operator's command"),
    ]

    /// What has no name of its own.
    package static let other: StaticString = "message"

    static func name(of text: ByteView) -> StaticString {
        all.first { text.hasPrefix($0.start) }?.name ?? other
    }

    /// The table of the README, in Markdown: one row a name.
    package static func markdownTable() -> String {
        var text = "| event | the message starts with | when |\n|---|---|---|\n"
        var told: Set<String> = []
        for event in all where told.insert("\(event.name)").inserted {
            let starts = all.filter { "\($0.name)" == "\(event.name)" }.map { "`\($0.start)`" }
            let docs = all.filter { "\($0.name)" == "\(event.name)" }.map { "\($0.doc)" }
            var seen: Set<String> = []
            let doc = docs.filter { seen.insert($0).inserted }.joined(separator: "; ")
            text += "| `\(event.name)` | \(starts.joined(separator: ", ")) | \(doc) |\n"
        }
        return text + "| `\(other)` | anything else | |\n"
    }
}
