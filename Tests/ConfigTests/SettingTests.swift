import Config
import Primitives
import Testing

@Suite struct SettingTests {
    @Test func theTableIsPgBouncersInItsOrder() {
        let rows = GlobalSettings.rows.filter { !ourSettings.contains($0.name) }
        #expect(rows.map(\.name) == pgbouncerDefaults.map(\.name))
        #expect(rows.map(\.defaultText) == pgbouncerDefaults.map(\.text))
        #expect(GlobalSettings.row(named: "service_name") == nil)
    }

    @Test func everyPropertyHasARow() {
        #expect(Mirror(reflecting: GlobalSettings()).children.count == GlobalSettings.rows.count)
    }

    @Test func onlyTheseNeedARestart() {
        #expect(
            GlobalSettings.rows.filter { !$0.isReloadable }.map(\.name) == [
                "disable_pqexec", "io_uring", "job_name", "listen_addr", "listen_backlog", "listen_port",
                "pidfile",
                "pkt_buf",
                "resolv_conf", "so_reuseport", "supervisor", "track_extra_parameters", "unix_socket_dir",
                "unix_socket_group",
                "unix_socket_mode", "user", "workers",
            ])
    }

    @Test(arguments: GlobalSettings.rows.map(\.name))
    func whatARowPrintsItParses(name: String) throws {
        let row = try #require(GlobalSettings.row(named: ByteString(name)))
        #expect(!row.doc.isEmpty && row.doc.hasSuffix("."))
        var settings = GlobalSettings()
        let printed = row.text(in: settings)
        try row.parse(row.defaultText ?? printed, into: &settings)
        #expect(settings == GlobalSettings())
        try row.parse(printed, into: &settings)
        #expect(settings == GlobalSettings())
    }

    /// Values that PgBouncer takes or refuses by kind, and what they become here.
    @Test(arguments: GlobalSettings.rows.map(\.name))
    func numbersNeverOverflowAndNeverBecomeZero(name: String) throws {
        let row = try #require(GlobalSettings.row(named: ByteString(name)))
        let isText = row.expected.hasPrefix("text") || row.expected.hasPrefix("a database")
        if isText || row.expected.hasPrefix("names") || row.expected.hasPrefix("addresses") { return }
        for bad in ["99999999999", "\u{663}", "", "5 ", "5x", "0x", "1e99", "--1", "nan", "inf"]
            as [ByteString]
        {
            var settings = GlobalSettings()
            #expect(throws: BadValue(expected: row.expected)) { try row.parse(bad, into: &settings) }
            #expect(settings == GlobalSettings())
        }
    }

    @Test func numbersAreReadAsPgBouncerReadsThem() throws {
        func value(_ name: ByteString, _ text: ByteString) -> ByteString? {
            var settings = GlobalSettings()
            guard let row = GlobalSettings.row(named: name), (try? row.parse(text, into: &settings)) != nil
            else {
                return nil
            }
            return row.text(in: settings)
        }
        #expect(value("default_pool_size", "0x10") == "16")
        #expect(value("default_pool_size", "010") == "8")
        #expect(value("default_pool_size", "+5") == "5")
        #expect(value("default_pool_size", "-1") == nil)
        #expect(value("default_pool_size", "1e9") == nil)
        #expect(value("default_pool_size", "08") == nil)
        #expect(value("default_pool_size", "2147483647") == "2147483647")
        #expect(value("default_pool_size", "2147483648") == nil)
        #expect(value("max_db_connections", "-1") == "0")
        #expect(value("query_timeout", "1e9") == "1e+09")
        #expect(value("query_timeout", "0x10") == "16")
        #expect(value("query_timeout", "+5") == "5")
        #expect(value("query_timeout", "-1") == nil)
        #expect(value("query_timeout", "0.5") == "0.5")
        #expect(value("query_timeout", "5min") == "300")
        #expect(value("query_timeout", "250ms") == "0.25")
        #expect(value("query_timeout", "10us") == "1e-05")
        #expect(value("query_timeout", "1 d") == "86400")
        #expect(value("query_timeout", "0.1us") == nil)
        #expect(value("query_wait_notify", "2m") == "120")
        #expect(value("query_wait_notify", "0.5") == nil)
        #expect(value("stats_period", "0") == nil)
        #expect(value("log_stats", "-1") == "1")
        #expect(value("log_stats", "0x10") == "1")
        #expect(value("log_stats", "Off") == "0")
        #expect(value("log_stats", "maybe") == nil)
        #expect(value("pkt_buf", "8kB") == "8192")
        #expect(value("pkt_buf", "2 MB") == "2097152")
        #expect(value("pkt_buf", "9999999999GB") == nil)
        #expect(value("max_packet_size", "4294967295") == "4294967295")
        #expect(value("unix_socket_mode", "0700") == "448")
        #expect(value("listen_port", "65536") == nil)
        #expect(value("pool_mode", "Transaction") == "transaction")
        #expect(value("pool_mode", "tx") == nil)
        #expect(value("admin_users", "a,b  c,, d") == "a, b, c, d")
        #expect(value("auth_dbname", "pgbouncer") == nil)
        #expect(value("logfile", "a\0b") == nil)
    }

    @Test func notSetAndEmptyAreDifferentTexts() throws {
        let row = try #require(GlobalSettings.row(named: "auth_user"))
        var settings = GlobalSettings()
        #expect(row.shownText(in: settings) == nil)
        #expect(row.text(in: settings) == "")
        try row.parse("joe", into: &settings)
        #expect(settings.authUser == "joe")
        try row.parse("", into: &settings)
        #expect(settings.authUser == nil)
    }

    @Test func theCheckQueryHasThreeForms() {
        var settings = GlobalSettings()
        #expect(settings.effectiveCheckQuery == "")
        settings.serverCheckQuery = ""
        #expect(settings.effectiveCheckQuery == nil)
        settings.serverCheckQuery = "select 1"
        #expect(settings.effectiveCheckQuery == "select 1")
    }

    @Test(arguments: [
        (0, "0"), (1, "1e-06"), (99, "9.9e-05"), (100, "0.0001"), (1_500, "0.0015"), (1_000_000, "1"),
        (120_000_000, "120"), (1_234_567, "1.23457"), (999_999_500_000, "1e+06"), (999_999_000_000, "999999"),
        (86_400_000_000, "86400"), (12_345_678_000_000, "1.23457e+07"), (100_000_250_000, "100000"),
    ])
    func secondsPrintAsCPrintsThem(microseconds: Int, text: String) {
        #expect(TimeSpan.microseconds(microseconds).shortSeconds == text)
    }
}
