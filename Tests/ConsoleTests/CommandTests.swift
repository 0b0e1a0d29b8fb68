import Config
import Engine
import Primitives
import Testing

@testable import Console

@Suite struct CommandTests {
    // MARK: Texts

    @Test func wordsAndQuotes() {
        #expect(CommandText("pause") == .plain(word: "pause", argument: ""))
        #expect(CommandText(" \t\r\nPAUSE \n db1 ; ") == .plain(word: "PAUSE", argument: "db1"))
        #expect(CommandText("pause \"a \"\"b\"\"; c\";") == .plain(word: "pause", argument: "a \"b\"; c"))
        #expect(CommandText("set a=1") == .set(key: "a", value: "1"))
        #expect(CommandText("SET a TO 'it''s'") == .set(key: "a", value: "it's"))
        #expect(CommandText("SET a = ''") == .set(key: "a", value: ""))
        for bad: ByteString in [
            "", ";", " ", "a b c", "a;b", "a; b;", "a;;", "-- x", "/* */ show", "pause \"", "pause \"\"",
            "set a=1.5",
            "set a = -1", "set a = 'x", "set a = 'x' y", "set a", "pause db.x", "pause a/b",
            "SHOW CONFIG; SHUTDOWN",
        ] {
            let isSet = bad == "set a"
            #expect(CommandText(bad) == (isSet ? .plain(word: "set", argument: "a") : .invalid))
        }
        func word(_ count: Int) -> String { String(repeating: "x", count: count) }
        #expect(CommandText(ByteString(word(15))) == .plain(word: ByteString(word(15)), argument: ""))
        #expect(CommandText(ByteString(word(16))) == .tooLong)
        #expect(CommandText(ByteString("a " + word(64))) == .tooLong)
        #expect(CommandText(ByteString("set a='\(word(256))'")) == .tooLong)
    }

    @Test(arguments: [
        "SHOW", "SHOW NOTHING", "SHOW CONFIG; SHUTDOWN", "BEGIN; SHUTDOWN", "COMMIT NOW", "PAUSE 'x",
        "RELOAD x", "SUSPEND x", "SHUTDOWN NOW", "SET x", "SET a = 1.5", "SET a=-1",
        "SET a = a/b", "KILL \"\"", "SHOW POOLS x", "ünï",
    ])
    func invalidCommands(_ text: String) {
        let stage = Stage()
        for user in ["admin", "watcher"] {
            let client = stage.login(user)
            let reply = stage.query(client, text)
            #expect(reply.kinds == "EZ")
            #expect(reply.error?["S"] == "ERROR")
            #expect(reply.error?["C"] == "08P01")
            #expect(reply.errorText == "invalid command '\(text)', use SHOW HELP;")
            #expect(stage.query(client, "SHOW VERSION").tag == "SHOW")
        }
        #expect(!stage.isExiting)
    }

    @Test func errorsAreLoggedTwice() {
        let stage = Stage()
        let client = stage.login("admin")
        _ = stage.query(client, "NONSENSE")
        let lines = stage.lines.suffix(2)
        #expect(
            lines.first?.hasSuffix(
                "pgbouncer/admin@127.0.0.1:5555 invalid command 'NONSENSE', use SHOW HELP;") == true)
        #expect(lines.last?.hasSuffix(" pooler error: invalid command 'NONSENSE', use SHOW HELP;") == true)
    }

    @Test func longTextsAreCut() {
        let stage = Stage()
        let client = stage.login("admin")
        let reply = stage.query(client, "x " + String(repeating: "ä ", count: 10_000))
        #expect((reply.errorText?.utf8.count ?? 1000) < 450)
        #expect(reply.errorText?.hasSuffix("...', use SHOW HELP;") == true)
        #expect(reply.errorText?.contains("\u{FFFD}") == false)
        #expect(
            stage.query(client, "PAUSE " + String(repeating: "x", count: 64)).errorText == "bad arguments")
        #expect(stage.query(client, String(repeating: "x", count: 16)).errorText == "bad arguments")
        #expect(
            stage.query(client, "SET a = '\(String(repeating: "x", count: 256))'").errorText
                == "bad arguments")
    }

    // MARK: Rights

    @Test(arguments: [
        "PAUSE", "PAUSE app", "RESUME", "RESUME app", "KILL", "KILL app", "KILL_CLIENT 1", "KILL_CLIENT x",
        "DISABLE app",
        "DISABLE", "ENABLE app", "ENABLE", "RECONNECT", "RECONNECT app", "WAIT_CLOSE", "WAIT_CLOSE app",
        "RELOAD",
        "SUSPEND", "SHUTDOWN", "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN WAIT_FOR_CLIENTS", "SHOW FDS",
        "SET default_pool_size = 3", "SET nonsense = 1",
    ])
    func statsUsersMayNot(_ text: String) {
        let stage = Stage()
        let client = stage.login("watcher")
        let reply = stage.query(client, text)
        #expect(reply.kinds == "EZ")
        #expect(reply.error?["C"] == "08P01")
        #expect(reply.errorText == "admin access needed")
        stage.send(client, Bytes.parse("", text) + Bytes.bind("", "") + Bytes.execute("") + Bytes.sync)
        #expect(Reply(stage.replies(client)).kinds == "12EZ")
        #expect(!stage.isExiting)
        #expect(stage.reloads.isEmpty)
        #expect(stage.setting.defaultPoolSize == 20)
    }

    @Test func everyOrderHasItsRightsTested() {
        let tested = [
            "PAUSE", "RESUME", "KILL", "KILL_CLIENT", "DISABLE", "ENABLE", "RECONNECT", "WAIT_CLOSE",
            "RELOAD",
            "SUSPEND", "SHUTDOWN", "SHOW FDS",
        ]
        let admins = CommandTable.orders.filter { $0.audience == .admins }.map { $0.words }
        #expect(Set(admins) == Set(tested))
    }

    /// The driver answers, because only it knows the sockets; an admin from elsewhere gets rows alone.
    @Test func descriptorsAreTheDriversBusiness() {
        let stage = Stage()
        let client = stage.login("admin")
        stage.send(client, Bytes.query("SHOW FDS"))
        #expect(stage.handOvers == [false])
        stage.send(
            client, Bytes.parse("", "SHOW FDS") + Bytes.bind("", "") + Bytes.execute("") + Bytes.sync)
        #expect(Reply(stage.replies(client)).errorText == "SHOW FDS is a simple query")
        #expect(stage.handOvers == [false])
    }

    @Test func suspendAndResume() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "PAUSE app").tag == "PAUSE")
        #expect(stage.query(client, "SUSPEND").errorText == "cannot suspend with paused databases")
        #expect(stage.query(client, "RESUME app").tag == "RESUME")
        #expect(stage.query(client, "SUSPEND").tag == "SUSPEND")
        #expect(stage.query(client, "SHOW STATE").rows.map { $0[1] } == ["no", "no", "yes"])
        #expect(stage.query(client, "SUSPEND").errorText == "already suspended/paused")
        #expect(stage.query(client, "PAUSE").errorText == "already suspended/paused")
        #expect(stage.query(client, "RESUME").tag == "RESUME")
        #expect(stage.query(client, "RESUME").errorText == "pooler is not paused/suspended")
    }

    // MARK: Databases

    @Test func namesOfDatabases() {
        let stage = Stage()
        let client = stage.login("admin")
        for word in ["PAUSE", "RESUME", "KILL", "DISABLE", "ENABLE", "RECONNECT", "WAIT_CLOSE"] {
            #expect(stage.query(client, "\(word) nowhere").errorText == "no such database: nowhere")
        }
        for (word, verb) in [
            ("PAUSE", "pause"), ("KILL", "kill"), ("DISABLE", "disable"), ("ENABLE", "enable"),
            ("RECONNECT", "reconnect"), ("WAIT_CLOSE", "wait in"),
        ] {
            #expect(
                stage.query(client, "\(word) pgbouncer").errorText == "cannot \(verb) admin db: pgbouncer")
        }
        #expect(stage.query(client, "DISABLE").errorText == "a database is required")
        #expect(stage.query(client, "ENABLE").errorText == "a database is required")
        #expect(stage.query(client, "RESUME app").errorText == "database app is not paused")
        #expect(stage.query(client, "RESUME").errorText == "pooler is not paused/suspended")
    }

    @Test func commandsAreLogged() {
        let stage = Stage()
        let client = stage.login("admin")
        for (text, line) in [
            ("PAUSE app", "PAUSE 'app' command issued"), ("RESUME app", "RESUME 'app' command issued"),
            ("PAUSE", "PAUSE command issued"), ("RESUME", "RESUME command issued"),
            ("DISABLE app", "DISABLE 'app' command issued"), ("ENABLE app", "ENABLE 'app' command issued"),
            ("RECONNECT", "RECONNECT command issued"), ("WAIT_CLOSE", "WAIT_CLOSE command issued"),
            ("KILL app", "KILL 'app' command issued"), ("RESUME", "RESUME command issued"),
            ("KILL", "KILL command issued"), ("RELOAD", "RELOAD command issued"),
        ] {
            let before = stage.lines.count
            _ = stage.query(client, text)
            #expect(stage.lines[before...].contains { $0.hasSuffix(" " + line) }, "\(text)")
        }
    }

    @Test func disableAndEnable() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "DISABLE \"app\"").tag == "DISABLE")
        let late = stage.connect()
        stage.send(late, Bytes.startup("alice", "app"))
        #expect(Reply(stage.replies(late)).errorText == "database \"app\" is disabled")
        #expect(stage.query(client, "ENABLE app").tag == "ENABLE")
        let later = stage.connect()
        stage.send(later, Bytes.startup("alice", "app"))
        #expect(stage.replies(later).isEmpty)
    }

    // MARK: Pause

    @Test func pauseAnswersAtOnceWhenNothingRuns() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "PAUSE").kinds == "CZ")
        #expect(stage.paused.isEmpty)
        #expect(stage.query(client, "PAUSE").errorText == "already suspended/paused")
        #expect(stage.query(client, "PAUSE app").errorText == "already suspended/paused")
        #expect(stage.query(client, "KILL").errorText == "already suspended/paused")
        #expect(stage.query(client, "SUSPEND").errorText == "already suspended/paused")
        #expect(stage.query(client, "RESUME").tag == "RESUME")
        #expect(stage.query(client, "PAUSE app").tag == "PAUSE")
        #expect(stage.query(client, "PAUSE app").tag == "PAUSE")
        #expect(stage.query(client, "RESUME").errorText == "pooler is not paused/suspended")
        #expect(stage.query(client, "RESUME app").tag == "RESUME")
    }

    @Test(arguments: ["PAUSE", "PAUSE app"])
    func pauseWaitsAndOthersDoNot(_ text: String) {
        let stage = Stage({ $0.poolMode = .transaction })
        let pair = stage.busy()
        let first = stage.login("admin")
        let second = stage.login("admin")
        // What comes behind the PAUSE is answered after it.
        stage.send(first, Bytes.query(text) + Bytes.query("SHOW VERSION"))
        #expect(stage.replies(first).isEmpty)
        stage.send(first, Bytes.query("SHOW STATE"))
        #expect(stage.replies(first).isEmpty)
        #expect(stage.query(second, "SHOW POOLS").tag == "SHOW")
        stage.commit(pair)
        let replies = Reply(stage.replies(first))
        #expect(replies.kinds == "CZTDCZTDDDCZ")
        #expect(replies.tag == "PAUSE")
        #expect(stage.paused.isEmpty)
        #expect(stage.query(second, text.replacing("PAUSE", with: "RESUME")).tag == "RESUME")
    }

    @Test func resumeEndsAWaitingPause() {
        let stage = Stage()
        _ = stage.busy()
        let first = stage.login("admin")
        let second = stage.login("admin")
        for (pause, resume) in [("PAUSE", "RESUME"), ("PAUSE app", "RESUME app")] {
            #expect(stage.query(first, pause).messages.isEmpty)
            #expect(stage.query(second, resume).tag == "RESUME")
            let reply = Reply(stage.replies(first))
            #expect(reply.kinds == "EZ")
            #expect(reply.error?["C"] == "57014")
        }
    }

    @Test func aCancelledPauseIsAnsweredAndLifted() {
        let stage = Stage()
        _ = stage.busy()
        let first = stage.connect()
        stage.send(first, Bytes.startup("admin", "pgbouncer"))
        let key = stage.replies(first).first { $0.kind == "K" }?.body ?? []
        #expect(stage.query(first, "PAUSE").messages.isEmpty)
        let asker = stage.connect()
        stage.send(asker, Bytes.uint32(16) + Bytes.uint32(80_877_102) + key)
        #expect(stage.closed.contains(.client(asker)))
        let reply = Reply(stage.replies(first))
        #expect(reply.kinds == "EZ")
        #expect(reply.errorText == "canceling statement due to user request")
        #expect(stage.query(first, "SHOW STATE").rows[0] == ["active", "yes"])
    }

    @Test func aClientThatLeavesWhileItWaitsIsForgotten() {
        let stage = Stage({ $0.poolMode = .transaction })
        let pair = stage.busy()
        let first = stage.login("admin")
        #expect(stage.query(first, "PAUSE").messages.isEmpty)
        stage.leave(first)
        stage.commit(pair)
        #expect(stage.query(stage.login("admin"), "SHOW STATE").rows[1] == ["paused", "yes"])
    }

    @Test func waitCloseWaitsForWhatIsReplaced() {
        let stage = Stage({ $0.poolMode = .transaction })
        let pair = stage.busy()
        let client = stage.login("admin")
        #expect(stage.query(client, "WAIT_CLOSE").tag == "WAIT_CLOSE")
        #expect(stage.query(client, "RECONNECT app").tag == "RECONNECT")
        #expect(stage.query(client, "WAIT_CLOSE app").messages.isEmpty)
        stage.commit(pair)
        #expect(Reply(stage.replies(client)).tag == "WAIT_CLOSE")
        #expect(stage.query(client, "PAUSE app").tag == "PAUSE")
    }

    // MARK: Kill

    @Test func killIsLiftedByResume() {
        let stage = Stage()
        let pair = stage.busy()
        let client = stage.login("admin")
        #expect(stage.query(client, "KILL").tag == "KILL")
        #expect(Reply(stage.replies(pair.client)).errorText == "database removed")
        #expect(stage.closed.contains(.client(pair.client)))
        #expect(stage.closed.contains(.server(pair.server)))
        #expect(stage.query(client, "SHOW STATE").rows[1] == ["paused", "yes"])
        #expect(stage.query(client, "SHOW DATABASES").records[0]["paused"] == "1")
        #expect(stage.query(client, "RESUME").tag == "RESUME")
        #expect(stage.query(client, "SHOW DATABASES").records[0]["paused"] == "0")
        #expect(stage.query(client, "SHOW STATE").rows[0] == ["active", "yes"])
        #expect(stage.query(client, "RESUME").errorText == "pooler is not paused/suspended")
    }

    @Test func killOfNothingIsLiftedToo() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "KILL").tag == "KILL")
        #expect(stage.query(client, "SHOW STATE").rows[0] == ["active", "yes"])
        #expect(stage.query(client, "RESUME").tag == "RESUME")
        #expect(stage.query(client, "RESUME").errorText == "pooler is not paused/suspended")
    }

    @Test func resumeWithoutANameLeavesPausedDatabasesPaused() {
        let stage = Stage()
        let client = stage.login("admin")
        _ = stage.query(client, "PAUSE app")
        _ = stage.query(client, "KILL app")
        #expect(stage.query(client, "RESUME").errorText == "pooler is not paused/suspended")
        #expect(stage.query(client, "RESUME app").tag == "RESUME")
        _ = stage.query(client, "KILL app")
        #expect(stage.query(client, "SHOW STATE").rows[0] == ["active", "yes"])
        #expect(stage.query(client, "RESUME app").tag == "RESUME")
        #expect(stage.query(client, "RESUME").errorText == "pooler is not paused/suspended")
    }

    @Test func killClient() {
        let stage = Stage()
        let pair = stage.busy()
        let client = stage.login("admin")
        #expect(stage.query(client, "KILL_CLIENT").errorText == "invalid client pointer supplied")
        #expect(stage.query(client, "KILL_CLIENT x").errorText == "invalid client pointer supplied")
        #expect(stage.query(client, "KILL_CLIENT \"-1\"").errorText == "invalid client pointer supplied")
        #expect(stage.query(client, "KILL_CLIENT 999").errorText == "client not found")
        #expect(
            stage.query(client, "KILL_CLIENT 99999999999999999999999999").errorText == "client not found")
        let login = stage.connect()
        #expect(stage.query(client, "KILL_CLIENT \(stage.number(of: login))").errorText == "client not found")
        #expect(stage.query(client, "KILL_CLIENT \(stage.number(of: pair.client))abc").tag == "KILL_CLIENT")
        #expect(Reply(stage.replies(pair.client)).errorText == "admin forced disconnect")
        #expect(stage.closed.isSuperset(of: [.client(pair.client), .server(pair.server)]))
        let itself = Reply(stage.query(client, "KILL_CLIENT \(stage.number(of: client))").messages)
        #expect(itself.kinds == "E")
        #expect(itself.error?["S"] == "FATAL")
        #expect(stage.closed.contains(.client(client)))
    }

    // MARK: Reload, SET, SHUTDOWN

    @Test func reload() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "RELOAD").messages.isEmpty)
        #expect(stage.reloads == [client])
        stage.send(client, Bytes.query("SHOW VERSION"))
        #expect(stage.replies(client).isEmpty)
        stage.reloaded(true, client)
        #expect(Reply(stage.replies(client)).kinds == "CZTDCZ")
        _ = stage.query(client, "RELOAD")
        stage.reloaded(false, client)
        let reply = Reply(stage.replies(client))
        #expect(reply.error?["C"] == "F0000")
        #expect(reply.errorText == "RELOAD failed, see logs for additional details")
        #expect(stage.lines.contains { $0.hasSuffix("RELOAD Failed, see logs for more details") })
        _ = stage.query(client, "RELOAD")
        stage.leave(client)
        stage.reloaded(true, client)
    }

    @Test func set() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "SET default_pool_size = 5").tag == "SET default_pool_size=5")
        #expect(stage.setting.defaultPoolSize == 5)
        #expect(stage.query(client, "set server_idle_timeout to '1.5';").tag == "SET server_idle_timeout=1.5")
        #expect(
            stage.query(client, "SET server_reset_query = 'SELECT ''x'''").tag
                == "SET server_reset_query=SELECT 'x'")
        #expect(
            stage.query(client, "SHOW CONFIG").rows.contains { $0[0] == "default_pool_size" && $0[1] == "5" })
        #expect(stage.query(client, "SET nonsense = 1").errorText == "SET failed")
        #expect(stage.query(client, "SET default_pool_size = abc").errorText == "SET failed")
        let start = stage.query(client, "SET listen_port = 5")
        #expect(start.errorText == "SET failed")
        #expect(start.error?["D"]?.contains("cannot be changed now") == true)
        #expect(stage.setting.listenPort == 6432)
    }

    @Test func shutdownNow() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "SHUTDOWN").messages.isEmpty)
        #expect(stage.isExiting)
        #expect(stage.lines.contains { $0.hasSuffix(" SHUTDOWN command issued") })
    }

    @Test func shutdownWaitForServers() {
        let stage = Stage({ $0.poolMode = .transaction })
        let pair = stage.busy()
        let client = stage.login("admin")
        #expect(stage.query(client, "shutdown wait_for_servers").tag == "SHUTDOWN")
        #expect(stage.stoppedListening)
        #expect(!stage.isExiting)
        #expect(stage.query(client, "RESUME").errorText == "pooler is shutting down")
        stage.commit(pair)
        stage.pass(.seconds(1))
        #expect(stage.isExiting)
    }

    @Test func shutdownWaitForClients() {
        let stage = Stage()
        let client = stage.login("admin")
        #expect(stage.query(client, "SHUTDOWN WAIT_FOR_CLIENTS;").tag == "SHUTDOWN")
        #expect(stage.query(client, "RESUME").errorText == "pooler is shutting down")
        #expect(!stage.isExiting)
        stage.leave(client)
        #expect(stage.isExiting)
    }
}
