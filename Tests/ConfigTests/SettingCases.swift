import Config
import Primitives

/// One setting: when PgBouncer lets it change, a text with its value in `SHOW CONFIG`, and a text that is none.
struct SettingCase: Sendable {
    let name: String
    let reload: ReloadRule
    let text: ByteString
    let shown: ByteString
    let bad: ByteString
    /// Lines without which it would be a contradiction.
    let with: ByteString

    init(
        _ name: String, _ reload: ReloadRule, _ text: ByteString, shown: ByteString, bad: ByteString,
        with: ByteString = ""
    ) {
        self.name = name
        self.reload = reload
        self.text = text
        self.shown = shown
        self.bad = bad
        self.with = with
    }
}

/// Every setting PgBouncer has on Linux, and ours, in the order of its `SHOW CONFIG`.
let settingCases: [SettingCase] = [
    SettingCase("admin_users", .now, "a,b  c", shown: "a, b, c", bad: "a\0b"),
    SettingCase("application_name_add_host", .newConnections, "yes", shown: "1", bad: "maybe"),
    SettingCase("auth_dbname", .now, "authdb", shown: "authdb", bad: "pgbouncer"),
    SettingCase("auth_file", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("auth_hba_file", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("auth_ident_file", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase(
        "auth_ldap_options", .now, "ldapserver=a, ldapbasedn=\"dc=x\" ldapbindpasswd=s",
        shown: "ldapserver=a ldapbasedn=dc=x ldapbindpasswd=***", bad: "a\0b"),
    SettingCase("auth_query", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("auth_type", .newConnections, "Trust", shown: "trust", bad: "no-such"),
    SettingCase("auth_user", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("autodb_idle_timeout", .now, "5s", shown: "5", bad: "-1"),
    SettingCase("cancel_wait_timeout", .now, "500ms", shown: "0.5", bad: "5 parsecs"),
    SettingCase("client_idle_timeout", .now, "2 min", shown: "120", bad: ""),
    SettingCase("client_login_timeout", .now, "1h", shown: "3600", bad: "1e99"),
    SettingCase("client_tls13_ciphers", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("client_tls_ca_file", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("client_tls_cert_file", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("client_tls_ciphers", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("client_tls_dheparams", .newConnections, "none", shown: "none", bad: "some"),
    SettingCase("client_tls_ecdhcurve", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("client_tls_key_file", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("client_tls_protocols", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("client_tls_sslmode", .newConnections, "disable", shown: "disable", bad: "maybe"),
    SettingCase("conffile", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("default_pool_size", .now, "33", shown: "33", bad: "-1"),
    SettingCase("disable_pqexec", .restart, "false", shown: "0", bad: "maybe"),
    SettingCase("dns_max_ttl", .now, "1d", shown: "86400", bad: "soon"),
    SettingCase("dns_nxdomain_ttl", .now, "0.25", shown: "0.25", bad: "-1"),
    SettingCase("dns_zone_check_period", .now, "250us", shown: "0.00025", bad: "5 parsecs"),
    SettingCase("idle_transaction_timeout", .now, "5s", shown: "5", bad: ""),
    SettingCase("ignore_startup_parameters", .newConnections, "a,b  c", shown: "a, b, c", bad: "a\0b"),
    SettingCase("io_uring", .restart, "NO", shown: "no", bad: "maybe"),
    SettingCase("job_name", .restart, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("listen_addr", .restart, "a,b  c", shown: "a, b, c", bad: "a\0b"),
    SettingCase("listen_backlog", .restart, "010", shown: "8", bad: "many"),
    SettingCase("listen_port", .restart, "0x1000", shown: "4096", bad: "65536"),
    SettingCase("log_connections", .now, "ON", shown: "1", bad: "maybe"),
    SettingCase("log_disconnections", .now, "off", shown: "0", bad: "maybe"),
    SettingCase("log_format", .now, "JSON", shown: "json", bad: "xml"),
    SettingCase("log_pooler_errors", .now, "-1", shown: "1", bad: "maybe"),
    SettingCase("log_stats", .now, "yes", shown: "1", bad: "maybe"),
    SettingCase("logfile", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("login_notify_message", .newConnections, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("max_client_conn", .now, "33", shown: "33", bad: "-1"),
    SettingCase("max_client_conn_per_address", .now, "7", shown: "7", bad: "many"),
    SettingCase("max_db_client_connections", .now, "7", shown: "7", bad: "1e3"),
    SettingCase("max_db_connections", .now, "-1", shown: "0", bad: "all"),
    SettingCase("max_failed_logins_per_address", .now, "-1", shown: "0", bad: "1.5"),
    SettingCase("max_login_conns", .now, "7", shown: "7", bad: "x"),
    SettingCase("max_packet_size", .now, "1GB", shown: "1073741824", bad: "1TB"),
    SettingCase("max_prepared_statements", .now, "33", shown: "33", bad: "-1"),
    SettingCase("max_user_client_connections", .now, "7", shown: "7", bad: "99999999999"),
    SettingCase("max_user_connections", .now, "7", shown: "7", bad: "7x"),
    SettingCase("min_pool_size", .now, "33", shown: "33", bad: "-1"),
    SettingCase("peer_id", .newConnections, "16383", shown: "16383", bad: "16384"),
    SettingCase("pidfile", .restart, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("pkt_buf", .restart, "8kB", shown: "8192", bad: "15"),
    SettingCase("pool_mode", .now, "Statement", shown: "statement", bad: "tx"),
    SettingCase("pool_idle_timeout", .now, "500ms", shown: "0.5", bad: "1e99"),
    SettingCase(
        "proxy_protocol", .newConnections, "yes", shown: "1", bad: "v2", with: "proxy_protocol_trusted = ::1\n"),
    SettingCase(
        "proxy_protocol_trusted", .newConnections, "10.0.0.0/8 fd00::/8,::1",
        shown: "10.0.0.0/8, fd00::/8, ::1",
        bad: "10.0.0.0/33"),
    SettingCase("query_timeout", .now, "2 min", shown: "120", bad: "soon"),
    SettingCase("query_wait_notify", .now, "1min", shown: "60", bad: "0.5"),
    SettingCase("query_wait_timeout", .now, "1h", shown: "3600", bad: "-1"),
    SettingCase("reserve_pool_size", .now, "33", shown: "33", bad: "-1"),
    SettingCase("reserve_pool_timeout", .now, "1d", shown: "86400", bad: "5 parsecs"),
    SettingCase("resolv_conf", .restart, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("sbuf_loopcnt", .now, "33", shown: "33", bad: "-1"),
    SettingCase("scram_iterations", .now, "8192", shown: "8192", bad: "0"),
    SettingCase("server_check_delay", .now, "0.25", shown: "0.25", bad: ""),
    SettingCase("server_check_query", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("server_connect_timeout", .now, "250us", shown: "0.00025", bad: "1e99"),
    SettingCase("server_fast_close", .now, "false", shown: "0", bad: "maybe"),
    SettingCase("server_idle_timeout", .now, "5s", shown: "5", bad: "soon"),
    SettingCase("server_lifetime", .now, "500ms", shown: "0.5", bad: "-1"),
    SettingCase("server_login_retry", .now, "2 min", shown: "120", bad: "5 parsecs"),
    SettingCase("server_reset_query", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("server_reset_query_always", .now, "ON", shown: "1", bad: "maybe"),
    SettingCase("server_round_robin", .now, "off", shown: "0", bad: "maybe"),
    SettingCase("server_tls13_ciphers", .newPools, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("server_tls_ca_file", .newPools, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("server_tls_cert_file", .newPools, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("server_tls_ciphers", .newPools, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("server_tls_key_file", .newPools, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase(
        "server_tls_negotiation", .newPools, "Direct", shown: "direct", bad: "ssl",
        with: "server_tls_sslmode = require\n"),
    SettingCase("server_tls_protocols", .newPools, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("server_tls_sslmode", .newPools, "Disable", shown: "disable", bad: "maybe"),
    SettingCase("so_reuseport", .restart, "-1", shown: "1", bad: "maybe"),
    SettingCase("stats_period", .now, "1h", shown: "3600", bad: "0"),
    SettingCase("stats_users", .now, "a,b  c", shown: "a, b, c", bad: "a\0b"),
    SettingCase("supervisor", .restart, "yes", shown: "1", bad: "maybe"),
    SettingCase("suspend_timeout", .now, "1h", shown: "3600", bad: ""),
    SettingCase("syslog", .now, "yes", shown: "1", bad: "maybe"),
    SettingCase("syslog_facility", .now, "LOCAL3", shown: "local3", bad: "mail"),
    SettingCase("syslog_ident", .now, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("tcp_defer_accept", .now, "false", shown: "0", bad: "maybe"),
    SettingCase("tcp_keepalive", .newConnections, "ON", shown: "1", bad: "maybe"),
    SettingCase("tcp_keepcnt", .newConnections, "33", shown: "33", bad: "-1"),
    SettingCase("tcp_keepidle", .newConnections, "2min", shown: "120", bad: "0.5s"),
    SettingCase("tcp_keepintvl", .newConnections, "30s", shown: "30", bad: "1us"),
    SettingCase("tcp_socket_buffer", .newConnections, "2MB", shown: "2097152", bad: "-1"),
    SettingCase("tcp_user_timeout", .newConnections, "5s", shown: "5000", bad: "5 parsecs"),
    SettingCase("track_extra_parameters", .restart, "a,b  c", shown: "a, b, c", bad: "a\0b"),
    SettingCase("transaction_timeout", .now, "1d", shown: "86400", bad: "1e99"),
    SettingCase("unix_socket_dir", .restart, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("unix_socket_group", .restart, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("unix_socket_mode", .restart, "0700", shown: "448", bad: "rwx"),
    SettingCase("user", .restart, "some thing", shown: "some thing", bad: "a\0b"),
    SettingCase("verbose", .now, "2", shown: "2", bad: "11"),
    SettingCase("workers", .restart, "AUTO", shown: "auto", bad: "65"),
]
