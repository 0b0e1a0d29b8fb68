import Config
import Engine
import Primitives
import Testing

@testable import Console

@Suite struct ShowTests {
    @Test(arguments: Expected.columns.map(\.words))
    func columnsAreThoseOfPgBouncer(_ words: String) {
        let stage = Stage()
        _ = stage.busy()
        for user in ["admin", "watcher"] {
            let client = stage.login(user)
            for text in [
                words, words.lowercased() + ";", words.replacing("SHOW", with: " \nselect\t") + " ; ",
            ] {
                let reply = stage.query(client, text)
                #expect(reply.columns == Expected.columns.first { $0.words == words }?.columns)
                #expect(reply.tag == "SHOW")
                #expect(reply.messages.last == Message(kind: "Z", body: [0x49]))
                #expect(reply.rows.allSatisfy { $0.count == reply.columns.count })
            }
        }
    }

    @Test func everyTableIsExpected() {
        #expect(Set(CommandTable.shows.map { $0.words }) == Set(Expected.columns.map(\.words)))
        for show in CommandTable.shows {
            #expect(Set(show.headers.map { $0.name }).count == show.headers.count, "\(show.words)")
        }
    }

    @Test func versionAndState() {
        let stage = Stage()
        let client = stage.login("watcher")
        #expect(stage.query(client, "SHOW VERSION").rows == [["pglido 1.0"]])
        #expect(
            stage.query(client, "SHOW STATE").rows == [
                ["active", "yes"], ["paused", "no"], ["suspended", "no"],
            ])
        stage.signal(.pause)
        #expect(
            stage.query(client, "SHOW STATE").rows == [
                ["active", "no"], ["paused", "yes"], ["suspended", "no"],
            ])
    }

    @Test func helpIsANotice() {
        let stage = Stage()
        let reply = stage.query(stage.login("watcher"), "SHOW HELP;")
        #expect(reply.kinds == "NCZ")
        let notice = reply.messages[0].fields
        #expect(notice["S"] == "NOTICE")
        #expect(notice["C"] == "00000")
        #expect(notice["M"] == "Console usage")
        #expect(
            notice["D"]?.hasPrefix("\n\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION\n\t")
                == true)
        #expect(notice["D"]?.hasSuffix("\n\tWAIT_CLOSE [<db>]") == true)
        #expect(reply.tag == "SHOW")
    }

    @Test func configHasEverySetting() {
        let stage = Stage()
        let rows = stage.query(stage.login("watcher"), "SHOW CONFIG").rows
        #expect(rows.count == GlobalSettings.rows.count)
        #expect(rows.map { $0[0] } == GlobalSettings.rows.map { $0.name })
        #expect(rows.first { $0[0] == "admin_users" } == ["admin_users", "admin", "", "yes"])
        #expect(rows.first { $0[0] == "listen_port" }?[3] == "no")
        #expect(rows.first { $0[0] == "auth_user" }?[1] == nil)
    }

    @Test func databases() {
        var app = DatabaseEntry(name: "app")
        app.hosts = ["a", "b"]
        app.port = 7000
        app.dbname = "real"
        app.user = "role"
        app.poolSize = 3
        app.poolMode = .statement
        app.serverLifetime = .seconds(60)
        app.maxDbConnections = 9
        let stage = Stage({ $0.minPoolSize = 1 }, databases: [app, DatabaseEntry(name: "zoo")])
        let client = stage.login("admin")
        let rows = stage.query(client, "SHOW DATABASES").rows
        #expect(
            rows == [
                [
                    "app", "a,b", "7000", "real", "role", "3", "1", "0", "60", "statement", "round-robin",
                    "9",
                    "0", "0", "0", "0", "0",
                ],
                [
                    "pgbouncer", nil, "6432", "pgbouncer", "pgbouncer", "2", "1", "0", "3600", "statement",
                    nil,
                    "0", "0", "0", "1", "0", "0",
                ],
                [
                    "zoo", nil, "5432", "zoo", nil, "20", "1", "0", "3600", nil, nil, "0", "0", "0", "0", "0",
                    "0",
                ],
            ])
        _ = stage.query(client, "DISABLE zoo")
        _ = stage.query(client, "PAUSE app")
        let after = stage.query(client, "SHOW DATABASES").records
        #expect(after.map { $0["paused"] } == ["1", "0", "0"])
        #expect(after.map { $0["disabled"] } == ["0", "0", "1"])
    }

    @Test func usersShowTheirOwnSizes() {
        var entry = UserEntry(name: "alice")
        entry.poolSize = 3
        entry.maxUserConnections = 7
        entry.poolMode = .session
        let padded = ShowUsers.columns[1].value(
            UserReport(
                name: "alice", line: entry, maxConnections: 7, connections: 0, maxClients: 0, clients: 0))
        #expect(padded == .text("        3"))
        let stage = Stage()
        let users = stage.query(stage.login("admin"), "SHOW USERS").rows
        #expect(users.map { $0[0] } == ["admin", "alice", "pgbouncer", "watcher"])
        #expect(users[0] == ["admin", "", "", nil, "0", "0", "0", "1"])
    }

    @Test func poolsCountClientsAndServers() {
        let stage = Stage({ $0.defaultPoolSize = 1 })
        let pair = stage.busy()
        let second = stage.login("alice", "app")
        stage.send(second, Bytes.query("SELECT 1"))
        stage.now = stage.now + .microseconds(2_500_000)
        let admin = stage.login("admin")
        let pools = stage.query(admin, "SHOW POOLS").records
        #expect(pools.map { $0["database"] } == ["app", "pgbouncer"])
        #expect(pools[0]["user"] == "alice")
        #expect(pools[0]["cl_active"] == "1")
        #expect(pools[0]["cl_waiting"] == "1")
        #expect(pools[0]["sv_active"] == "1")
        #expect(pools[0]["maxwait"] == "2")
        #expect(pools[0]["maxwait_us"] == "500000")
        #expect(pools[0]["pool_mode"] == "session")
        #expect(pools[1]["cl_active"] == "1")
        #expect(pools[1]["pool_mode"] == "statement")
        let clients = stage.query(admin, "SHOW CLIENTS").records
        #expect(clients.map { $0["state"] } == ["active", "waiting", "idle"])
        #expect(clients.map { $0["type"] } == ["C", "C", "C"])
        #expect(clients[0]["user"] == "alice")
        #expect(clients[0]["database"] == "app")
        #expect(clients[0]["replication"] == "none")
        #expect(clients[0]["addr"] == "127.0.0.1")
        #expect(clients[0]["port"] == "5555")
        #expect(clients[0]["local_port"] == "6432")
        #expect(clients[0]["connect_time"] == "2023-11-14 23:13:20 CET")
        #expect(clients[0]["id"] == String(stage.number(of: pair.client)))
        #expect(clients[1]["wait"] == "2")
        #expect(clients[1]["link"] == "")
        let servers = stage.query(admin, "SHOW SERVERS").records
        #expect(servers.count == 1)
        #expect(servers[0]["type"] == "S")
        #expect(servers[0]["state"] == "active")
        #expect(servers[0]["addr"] == "10.0.0.1")
        #expect(servers[0]["port"] == "5432")
        #expect(servers[0]["remote_pid"] == "9")
        #expect(servers[0]["link"] == clients[0]["ptr"])
        #expect(clients[0]["link"] == servers[0]["ptr"])
        let sockets = stage.query(admin, "SHOW SOCKETS").records
        #expect(sockets.map { $0["state"] } == ["cl_active", "cl_waiting", "sv_active", "cl_active"])
        #expect(stage.query(admin, "SHOW ACTIVE_SOCKETS").rows.isEmpty)
        stage.leave(second)
        stage.commit(pair)
        stage.leave(pair.client)
    }

    @Test func cancelRequestsAreShown() {
        let stage = Stage()
        let client = stage.connect()
        stage.send(client, Bytes.startup("alice", "app"))
        let server = stage.welcome()
        let key = stage.replies(client).first { $0.kind == "K" }?.body ?? []
        stage.send(client, Bytes.query("SELECT pg_sleep(9)"))
        let asker = stage.connect()
        stage.send(asker, Bytes.uint32(16) + Bytes.uint32(80_877_102) + key)
        let admin = stage.login("admin")
        let pool = stage.query(admin, "SHOW POOLS").records[0]
        #expect(pool["cl_active_cancel_req"] == "1")
        #expect(pool["sv_active_cancel"] == "1")
        #expect(pool["sv_active"] == "1")
        let clients = stage.query(admin, "SHOW CLIENTS").records
        #expect(clients.map { $0["state"] } == ["active", "active_cancel_req", "idle"])
        #expect(clients[1]["database"] == "app")
        #expect(
            stage.query(admin, "SHOW SERVERS").records.map { $0["state"] } == ["active", "active_cancel"])
        #expect(stage.query(admin, "SHOW SOCKETS").rows.count == 3)
        stage.send(server, Bytes.complete("SELECT 1") + Bytes.ready())
        stage.leave(client)
    }

    @Test func namesKeepTheirBytes() {
        let name = "a\"b\n%n, 'c"
        var entry = DatabaseEntry(name: ByteString(name))
        entry.hosts = ["h"]
        let stage = Stage(databases: [entry])
        let client = stage.login("admin")
        #expect(stage.query(client, "PAUSE \"a\"\"b\n%n, 'c\"").tag == "PAUSE")
        let row = stage.query(client, "SHOW DATABASES").records[0]
        #expect(row["name"] == name)
        #expect(row["paused"] == "1")
    }

    @Test func clientsInLoginAreSocketsOnly() {
        let stage = Stage()
        _ = stage.connect()
        let admin = stage.login("admin")
        #expect(stage.query(admin, "SHOW CLIENTS").rows.count == 1)
        #expect(stage.query(admin, "SHOW SOCKETS").records.last?["state"] == "cl_login")
        #expect(stage.query(admin, "SHOW SOCKETS").records.last?["user"] == "(nouser)")
        #expect(stage.query(admin, "SHOW SOCKETS").records.last?["database"] == "(nodb)")
        let lists = stage.query(admin, "SHOW LISTS").rows
        #expect(lists.first { $0[0] == "login_clients" }?[1] == "1")
        #expect(lists.first { $0[0] == "used_clients" }?[1] == "2")
    }

    @Test func listsInOrder() {
        let stage = Stage()
        let lists = stage.query(stage.login("admin"), "SHOW LISTS").rows
        #expect(
            lists.map { $0[0] } == [
                "databases", "users", "peers", "pools", "peer_pools", "free_clients", "used_clients",
                "login_clients", "free_servers", "used_servers", "dns_names", "dns_zones", "dns_queries",
                "dns_pending",
            ])
        #expect(lists[0][1] == "2")
        #expect(lists[3][1] == "1")
    }

    @Test func unixSocketsHaveOurPort() {
        let stage = Stage()
        let client = stage.connect(
            SocketAddress(family: .unix, processID: 4711, userID: Stage.userID))
        stage.send(client, Bytes.startup("pgbouncer", "pgbouncer"))
        _ = stage.replies(client)
        let row = stage.query(client, "SHOW CLIENTS").records[0]
        #expect(row["addr"] == "unix")
        #expect(row["port"] == "6432")
        #expect(row["remote_pid"] == "4711")
        #expect(row["user"] == "pgbouncer")
    }

    @Test func statsCountAndAverage() {
        let stage = Stage({ $0.statsPeriod = .seconds(10) })
        let pair = stage.busy()
        stage.now = stage.now + .milliseconds(500)
        stage.commit(pair)
        let admin = stage.login("admin")
        let stats = stage.query(admin, "SHOW STATS").records
        #expect(stats.map { $0["database"] } == ["app", "pgbouncer"])
        #expect(stats[0]["total_xact_count"] == "1")
        #expect(stats[0]["total_query_count"] == "2")
        #expect(stats[0]["total_xact_time"] == "500000")
        #expect(stats[0]["total_server_assignment_count"] == "1")
        #expect(stats[0]["total_client_login_count"] == "1")
        #expect(stats[0]["avg_query_count"] == "0")
        #expect(stats[1]["total_xact_count"] == "1")
        stage.pass(.seconds(10))
        let averages = stage.query(admin, "SHOW STATS_AVERAGES").records
        #expect(averages[0]["xact_time"] == "500000")
        #expect(averages[0]["query_count"] == "0")
        let totals = stage.query(admin, "SHOW STATS_TOTALS").records
        #expect(totals[0]["xact_count"] == "1")
        let sums = stage.query(admin, "SHOW TOTALS").rows
        #expect(sums.count == 24)
        #expect(
            sums.map { $0[0] } == [
                "total_server_assignment_count", "total_xact_count", "total_query_count",
                "total_client_bytes",
                "total_server_bytes", "total_xact_time", "total_query_time", "total_wait_time",
                "total_ps_client_parse_count", "total_ps_server_parse_count", "total_ps_bind_count",
                "total_client_login_count", "avg_server_assignment_count", "avg_xact_count",
                "avg_query_count",
                "avg_client_bytes", "avg_server_bytes", "avg_xact_time", "avg_query_time", "avg_wait_time",
                "avg_ps_client_parse_count", "avg_ps_server_parse_count", "avg_ps_bind_count",
                "avg_client_login_count",
            ])
        #expect(sums[2][1] == "3")
    }

    @Test func averagesAreShares() {
        var period = PoolCounters()
        period.queries = 30
        period.queryTime = 3_000_000
        period.waitTime = 50_000_000
        period.bytesFromClients = .max
        let report = StatsReport(database: "x", sum: period, lastPeriod: period, span: .seconds(10))
        #expect(report.average.queries == 3)
        #expect(report.average.queryTime == 100)
        #expect(report.average.waitTime == 5000)
        #expect(report.average.bytesFromClients == UInt64.max / 10)
        #expect(report.total.queryTime == 3000)
        let none = StatsReport(database: "x", sum: period, lastPeriod: period, span: .zero)
        #expect(none.average.queries == 0)
    }

    @Test func fakeParameters() {
        let stage = Stage()
        for user in ["admin", "watcher"] {
            let client = stage.login(user)
            for (name, value) in [
                ("client_encoding", "UTF-8"), ("default_transaction_isolation", "read committed"),
                ("standard_conforming_strings", "on"), ("datestyle", "ISO"), ("timezone", "GMT"),
            ] {
                let reply = stage.query(client, "SHOW \(name.uppercased())")
                #expect(reply.columns == ["\(name):25"])
                #expect(reply.rows == [[value]])
                #expect(reply.tag == "SHOW")
                let set = stage.query(client, "set \(name) to 'what ''ever'")
                #expect(set.kinds == "NCZ")
                #expect(set.messages[0].fields["M"] == "SET ignored")
                #expect(set.tag == "SET")
            }
        }
    }

    @Test func wallClock() {
        let start = Instant(nanoseconds: 5_000_000_000)
        func text(_ seconds: Double, _ offset: Int = 0) -> ByteString {
            WallClock(startSeconds: seconds, startInstant: start, zoneOffsetSeconds: offset, zoneName: "Z")
                .text(start)
        }
        #expect(text(0) == "1970-01-01 00:00:00 Z")
        #expect(text(951_782_400) == "2000-02-29 00:00:00 Z")
        #expect(text(951_868_799) == "2000-02-29 23:59:59 Z")
        #expect(text(951_868_800) == "2000-03-01 00:00:00 Z")
        #expect(text(4_107_542_400) == "2100-03-01 00:00:00 Z")
        #expect(text(0, -3600) == "1969-12-31 23:00:00 Z")
        #expect(text(1_700_000_000, 19_800) == "2023-11-15 03:43:20 Z")
        #expect(text(.nan) == "1970-01-01 00:00:00 Z")
    }

    @Test func readmeNamesEveryCommandAndColumn() {
        let text = CommandTable.markdownTable()
        for show in CommandTable.shows {
            #expect(text.contains("`\(show.words)`"))
            for column in show.headers { #expect(text.contains("| `\(column.name)` |")) }
        }
        #expect(text.contains("| `SHUTDOWN [WAIT_FOR_SERVERS \\| WAIT_FOR_CLIENTS] [TIMEOUT n]` | admin |"))
        #expect(text.contains("| `SHOW HELP` | admin, stats |"))
    }
}
