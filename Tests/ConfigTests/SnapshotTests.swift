import Config
import Primitives
import Testing

@Suite struct SnapshotTests {
    @Test func aWholeConfiguration() throws {
        let text: ByteString = """
            [databases]
            zeta = host=z
            alpha = host=a
            * = host=star
            zeta = host=later
            [users]
            joe = pool_size=3
            [peers]
            2 = host=peer
            1 = host=me
            [pgbouncer]
            pool_mode = session
            auth_file = users
            pool_mode = transaction
            """
        let loaded = try load(text, ["users": "\"joe\" \"secret\""]).get()
        let snapshot = loaded.snapshot
        #expect(loaded.notices.isEmpty)
        #expect(snapshot.global.poolMode == .transaction)
        #expect(snapshot.global.conffile == "p.ini")
        #expect(snapshot.databases.map(\.name) == ["alpha", "zeta"])
        #expect(snapshot.database(named: "zeta")?.hosts == ["later"])
        #expect(snapshot.database(named: "*") == nil && snapshot.database(named: "beta") == nil)
        #expect(snapshot.autoDatabase?.hosts == ["star"])
        #expect(snapshot.user(named: "joe")?.poolSize == 3)
        #expect(snapshot.peers.map(\.id) == [1, 2])
        #expect(snapshot.peer(id: 2)?.host == "peer")
        #expect(snapshot.secrets == ["joe": "secret"])
    }

    @Test func everyProblemIsReportedWithItsLine() {
        let text: ByteString = """
            [databases]
            db = host=x pool_size=many password=hunter2
            pgbouncer = host=x
            [pgbouncer]
            max_client_con = 5
            query_timeout = soon
            pool_mode = tx
            nothing_like_it = 1
            [user]
            ignored = 1
            """
        #expect(
            complaints(text) == [
                "invalid section \"user\" in configuration (p.ini:9): "
                    + "expected pgbouncer, databases, users or peers",
                "invalid value \"host=x pool_size=many password=...\" for parameter db "
                    + "in configuration (p.ini:2): pool_size=many: expected an integer up to 2147483647",
                "invalid value \"host=x\" for parameter pgbouncer in configuration (p.ini:3): "
                    + "database name \"pgbouncer\" is reserved",
                "unknown parameter: pgbouncer/max_client_con (p.ini:5): did you mean max_client_conn?",
                "invalid value \"soon\" for parameter query_timeout in configuration (p.ini:6): "
                    + "expected a time: seconds from 0 to 9200000000, "
                    + "or a number with us, ms, s, min, h or d",
                "invalid value \"tx\" for parameter pool_mode in configuration (p.ini:7): "
                    + "expected one of session, transaction, statement",
                "unknown parameter: pgbouncer/nothing_like_it (p.ini:8)",
            ])
    }

    @Test func linesInIncludedFilesAreTheirOwn() {
        #expect(
            complaints("[pgbouncer]\n%include b\n", ["b": "\n\npool_mode = x"]).first?.contains("(b:3)")
                == true)
    }

    @Test func whatTheFileMustHave() {
        #expect(
            complaints("[databases]\n") == [
                "load_init_file: main section missing from config file (p.ini): expected a line [pgbouncer]"
            ])
        #expect(complaints("k = 1\n[pgbouncer]") == ["load_init_file: value without section: k (p.ini:1)"])
        let missing = Snapshot.load(path: "gone", read: Files([:]).read)
        guard case .failure(let failure) = missing else { return #expect(Bool(false)) }
        #expect(failure.errors.map(\.text) == ["could not load file \"gone\": No such file or directory"])
    }

    @Test func controlBytesDoNotReachTheLog() {
        let text = complaints("[pgbouncer]\npool_mode = a\u{1b}[31m\tb").first
        #expect(text?.contains("\"a\\x1b[31m\\x09b\"") == true)
    }

    @Test func theUserListMayBeMissingAtFirstButNotVanishOrBreak() throws {
        let ini: ByteString = "[pgbouncer]\nauth_file = users\n"
        let first = try Snapshot.load(path: "i", read: Files(["i": ini]).read).get()
        #expect(first.snapshot.secrets.isEmpty)
        #expect(
            first.notices == [
                ConfigNotice(level: .error, text: "could not open auth_file users: No such file or directory")
            ])
        let gone = Snapshot.load(path: "i", previousSecrets: ["a": "b"], read: Files(["i": ini]).read)
        guard case .failure(let problems) = gone else { return #expect(Bool(false), "it loads") }
        #expect(
            problems.errors.map(\.text) == ["could not load file \"users\": No such file or directory"])
        #expect(complaints(ini, ["users": "\"a"]).first?.hasPrefix("broken auth file (users:1)") == true)
        let any = try load(ini + "auth_type = any", ["users": "\"a"]).get()
        #expect(any.snapshot.secrets.isEmpty && any.notices.isEmpty)
    }

    @Test func warnings() throws {
        let text: ByteString = "[databases]\nd = password=x\n[pgbouncer]\nverbose=1\n[pgbouncer]\nsyslog=1"
        let loaded = try load(text).get()
        #expect(loaded.snapshot.global.verbose == 1 && loaded.snapshot.global.syslog)
        #expect(loaded.notices.map(\.level) == [.warning, .warning])
        #expect(
            loaded.notices.map(\.text).contains(
                "password without user has no effect for database d (p.ini:2)"))
    }

    @Test func oneSettingChanged() throws {
        let snapshot = Snapshot(databases: [DatabaseEntry(name: "d")], secrets: ["a": "b"])
        let changed = try snapshot.setting("query_timeout", to: "5").get()
        #expect(changed.global.queryTimeout == .seconds(5))
        #expect(changed.databases == snapshot.databases && changed.secrets == snapshot.secrets)
        func complaint(_ key: ByteString, _ value: ByteString) -> String? {
            guard case .failure(let error) = snapshot.setting(key, to: value) else { return nil }
            return error.text
        }
        #expect(
            complaint("query_timeot", "5")
                == "unknown parameter: pgbouncer/query_timeot: did you mean query_timeout?")
        #expect(
            complaint("verbose", "x")
                == "invalid value \"x\" for parameter verbose: expected an integer from 0 to 10")
        #expect(
            complaint("listen_port", "1")?.hasPrefix("parameter listen_port cannot be changed now") == true)
    }

    @Test func settingsOfTheStartStay() {
        var old = GlobalSettings()
        old.listenPort = 1
        var new = GlobalSettings()
        new.listenPort = 2
        new.verbose = 3
        let kept = Snapshot(global: new).keepingStartSettings(of: Snapshot(global: old))
        #expect(kept.global.listenPort == 1 && kept.global.verbose == 3)
    }
}
