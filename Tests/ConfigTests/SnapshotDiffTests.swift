import Config
import Primitives
import Testing

@Suite struct SnapshotDiffTests {
    private func diff(_ old: ByteString, _ new: ByteString) throws -> SnapshotDiff {
        SnapshotDiff(from: try load(old).get().snapshot, to: try load(new).get().snapshot)
    }

    @Test func nothing() throws {
        let text: ByteString = "[databases]\na = host=x\n* = host=y\n[users]\nu =\n[pgbouncer]\nverbose=1"
        #expect(try diff(text, text).isEmpty)
    }

    @Test func databases() throws {
        let diff = try diff(
            "[pgbouncer]\n[databases]\ngone = host=x\nsame = host=x\nmoved = host=x\n"
                + "tuned = host=x user=u\n* = host=x",
            "[pgbouncer]\n[databases]\nnew = host=x\nsame = host=x\nmoved = host=y pool_size=1\n"
                + "tuned = host=x user=u pool_size=2 password=p\n* = host=y")
        #expect(diff.databases.added == ["new"])
        #expect(diff.databases.removed == ["gone"])
        #expect(diff.retargetedDatabases == ["moved"])
        #expect(diff.databases.changed == ["tuned"])
        #expect(diff.autoDatabase == .retargeted)
        #expect(diff.changedSettings.isEmpty && diff.restartSettings.isEmpty)
    }

    @Test(
        arguments: [
            "host=b", "port=1", "dbname=x", "user=x", "connect_query=x", "client_encoding=x", "datestyle=x",
            "timezone=x", "application_name=x", "auth_dbname=x", "auth_query=x", "load_balance_hosts=disable",
        ] as [ByteString])
    func theseNeedNewServers(pair: ByteString) throws {
        #expect(
            try diff("[pgbouncer]\n[databases]\nd =", "[pgbouncer]\n[databases]\nd = " + pair)
                .retargetedDatabases == ["d"])
    }

    @Test(
        arguments: [
            "pool_size=1", "min_pool_size=1", "reserve_pool_size=1", "max_db_connections=1",
            "max_db_client_connections=1", "server_lifetime=1", "query_wait_timeout=1", "pool_mode=statement",
            "password=x",
        ] as [ByteString])
    func theseDoNot(pair: ByteString) throws {
        let diff = try diff("[pgbouncer]\n[databases]\nd =", "[pgbouncer]\n[databases]\nd = " + pair)
        #expect(diff.retargetedDatabases.isEmpty && diff.databases.changed == ["d"])
    }

    @Test func settings() throws {
        let diff = try diff(
            "[pgbouncer]\nlisten_port=1\nverbose=1",
            "[pgbouncer]\nlisten_port=2\nverbose=2\nserver_tls_sslmode=disable\nquery_timeout=1e-6")
        #expect(diff.restartSettings == ["listen_port"])
        #expect(diff.changedSettings == ["query_timeout", "server_tls_sslmode", "verbose"])
        #expect(diff.recyclesPools)
        #expect(diff.warnings.count == 1)
    }

    @Test func usersPeersAndSecrets() {
        var user = UserEntry(name: "u")
        let old = Snapshot(
            users: [user, UserEntry(name: "gone")], peers: [PeerEntry(id: 10, host: "h")],
            secrets: ["a": "1", "b": "2", "c": "3"])
        user.poolSize = 1
        let new = Snapshot(
            users: [user], peers: [PeerEntry(id: 9, host: "h")], secrets: ["a": "1", "b": "x", "d": "4"])
        let diff = SnapshotDiff(from: old, to: new)
        #expect(diff.users.changed == ["u"] && diff.users.removed == ["gone"])
        #expect(diff.peers.added == ["9"] && diff.peers.removed == ["10"])
        #expect(diff.changedSecrets == ["b", "c", "d"])
    }
}
