import Config
import Engine
import Primitives

/// F10: console commands. The first byte says who asks and by which protocol; the rest are texts.
enum ConsoleCommands {
    static let words: [ByteString] = [
        "\n%%\n", "SHOW ", "SHOW POOLS", "SHOW CLIENTS;", "SHOW SERVERS", "SHOW CONFIG", "SHOW STATS",
        "SHOW HELP",
        "SHOW DATABASES", "SHOW USERS", "SHOW LISTS", "SHOW SOCKETS", "SHOW MEM", "SHOW STATE", "SHOW FDS",
        "PAUSE", "PAUSE db", "RESUME", "RESUME db", "DISABLE db", "ENABLE db", "KILL db", "KILL", "SUSPEND",
        "RECONNECT", "RECONNECT db", "RELOAD", "SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS", "WAIT_CLOSE db",
        "KILL_CLIENT 1", "SET ", " = ", "SET query_timeout = '5'", "SET pool_mode TO session", "pool_size",
        "'",
        "\"", ";", "--", "/*", "*/", "\0", "\r\n", "other", "pgbouncer", "SELECT 1", "show\t", "''", "\"\"",
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let choices = input.byte()
        let isAdmin = choices & 3 != 0
        let isExtended = choices & 4 != 0
        let rig = Rig(Rig.snapshots[2])
        let client = rig.connect("u", "db")
        rig.settle()
        if choices & 8 != 0 { rig.feed(client, Message.query("begin")) }
        rig.settle()
        let console = rig.connect(isAdmin ? "admin" : "watcher", "pgbouncer")
        for text in input.parts().prefix(8) where rig.links[console].isAlive {
            let before = state(rig)
            let heard = rig.links[console].sent.count
            rig.feed(console, isExtended ? extended(text) : Message.query(text))
            while let asker = nextReload(rig) {
                rig.tell { $0.reloadFailed(for: asker, now: $1, into: &$2) }
            }
            let answer = Cutter(Bytes(rig.links[console].sent.dropFirst(heard)))
            let after = state(rig)
            if before != after {
                if !isAdmin { return .finding("a stats user changed the pooler with \(text.shown)") }
                // RELOAD failed, but that is no parse error, and changes nothing either.
                if answer.count(of: "E") > 0 {
                    return .finding("\(text.shown) is refused, but changed something")
                }
            }
            if answer.count(of: "E") > 0, answer.count(of: "C") > 0 {
                return .finding("both an error and a result for \(text.shown)")
            }
            rig.settle()
            if rig.finding != nil { break }
        }
        rig.checkClient(console)
        if rig.written > 4 * 1024 * 1024 { return .finding("bounds: \(rig.written) bytes written") }
        if rig.board.shutdown == .none, rig.board.mode == .active { rig.finish() }
        return rig.finding.map { .finding($0) } ?? .fine
    }

    private static func nextReload(_ rig: Rig) -> ClientID? { rig.takeReload() }

    private static func extended(_ text: Bytes) -> Bytes {
        let clean = text.filter { $0 != 0 }
        return Message.typed("P", [0] + clean + [0, 0, 0]) + Message.typed("D", [0x53, 0])
            + Message.typed("B", [0, 0, 0, 0, 0, 0, 0, 0]) + Message.typed("D", [0x50, 0])
            + Message.typed("E", [0, 0, 0, 0, 0]) + Message.sync
    }

    /// Everything a command can change.
    private static func state(_ rig: Rig) -> [String] {
        var all = GlobalSettings.rows.map { $0.text(in: rig.board.snapshot.global).lossyText }
        all += ["\(rig.board.mode)", "\(rig.board.shutdown)", "\(rig.hasExited)"]
        all += ["\(rig.board.clients.count)", "\(rig.board.servers.count)"]
        for database in rig.board.databaseIDs {
            all.append(
                "\(rig.board.databases[database].isPaused) \(rig.board.databases[database].isDisabled)")
        }
        return all
    }
}
