import Config
import Primitives
import Session
import Testing

@testable import Console

@Suite struct ConfigDiffTests {
    private static func snapshot(_ text: ByteString, _ users: ByteString = "") -> Result<
        Snapshot, ConfigErrors
    > {
        Snapshot.load(path: "p.ini") { path in
            path == "p.ini"
                ? .success(text) : path == "users" ? .success(users) : .failure(FileProblem("missing"))
        }.map(\.snapshot)
    }

    private func rows(
        _ old: ByteString, _ new: ByteString, _ oldUsers: ByteString = "", _ newUsers: ByteString = ""
    ) throws -> [String] {
        let current = try Self.snapshot(old, oldUsers).get()
        return try ConfigDiff.cells(current) { _ in Self.snapshot(new, newUsers) }.get().map { row in
            row.map { SQLValue($0).text?.lossyText ?? "NULL" }.joined(separator: "|")
        }
    }

    @Test func nothingNewIsNoRow() throws {
        #expect(try rows("[pgbouncer]\n", "[pgbouncer]\nquery_timeout=0\n").isEmpty)
    }

    @Test func everySectionIsCompared() throws {
        let old: ByteString = """
            [databases]
            kept = host=a
            moved = host=a password=p user=u
            sized = host=a
            gone = host=a
            * = host=a
            [users]
            joe = pool_size=1
            [peers]
            1 = host=a
            [pgbouncer]
            auth_file = users
            query_timeout = 5
            listen_port = 1000
            """
        let new: ByteString = """
            [databases]
            kept = host=a
            moved = host=b password=p user=u
            sized = host=a pool_size=3
            added = host=c
            [users]
            joe = pool_size=2
            eve = query_timeout=1min
            [pgbouncer]
            auth_file = users
            server_tls_ciphers = fast
            listen_port = 1001
            max_client_conn = 5
            client_tls_ciphers = fast
            """
        #expect(
            try rows(old, new, "\"a\" \"1\"\n\"b\" \"1\"", "\"a\" \"2\"\n\"c\" \"1\"") == [
                "pgbouncer|client_tls_ciphers|default|fast|new connections",
                "pgbouncer|listen_port|1000|1001|restart",
                "pgbouncer|max_client_conn|100|5|now",
                "pgbouncer|query_timeout|5|0|now",
                "pgbouncer|server_tls_ciphers|default|fast|new servers",
                "databases|added|NULL|host=c|now",
                "databases|gone|host=a|NULL|clients are closed",
                "databases|moved|host=a user=u password=...|host=b user=u password=...|new servers",
                "databases|sized|host=a|host=a pool_size=3|now",
                "databases|*|host=a|NULL|clients are closed",
                "users|eve|NULL|query_timeout=60|now",
                "users|joe|pool_size=1|pool_size=2|now",
                "peers|1|host=a|NULL|now",
                "auth_file|a|NULL|NULL|now",
                "auth_file|b|NULL|NULL|now",
                "auth_file|c|NULL|NULL|now",
            ])
    }

    @Test func aBrokenFileIsAnErrorWithItsLines() throws {
        let current = try Self.snapshot("[pgbouncer]\n").get()
        let result = ConfigDiff.cells(current) { _ in Self.snapshot("[pgbouncer]\npool_mode=x\nverbose=y\n") }
        guard case .failure(let error) = result else { return #expect(Bool(false)) }
        #expect(error.refusal.state == "F0000")
        let detail = error.refusal.detail?.lossyText ?? ""
        #expect(detail.contains("(p.ini:2)") && detail.contains("(p.ini:3)"))
    }

    @Test func itIsForAdmins() {
        let stage = Stage()
        #expect(stage.query(stage.login("watcher"), "CONFIG DIFF").errorText == "admin access needed")
        let reply = stage.query(stage.login("admin"), "config diff;")
        #expect(reply.names == ["section", "name", "current", "new", "effect"] && reply.tag == "CONFIG DIFF")
        #expect(reply.records.contains { $0["name"] == "admin_users" && $0["current"] == "admin" })
    }
}
