import Config
import Engine
import Pool
import Primitives
import Session

/// F14: bytes become a script of events for the whole engine: clients and servers that come, speak, fall
/// silent, vanish, cancel; time, congestion, reloads, signals. In the end all must heal and nobody be left.
struct EventScript {
    static let words: [ByteString] = [
        ByteString([0, 0, 0, 9]), ByteString([15, 0]), ByteString([1, 0, 0]), ByteString([1, 0, 1]),
        ByteString([1, 0, 2]), ByteString([6, 3]), ByteString([7, 0, 0]), ByteString([8, 0]),
        ByteString([9, 0]),
        ByteString([10, 0]), ByteString([11, 0]), ByteString([12, 5]), ByteString([13, 1]),
        ByteString([14, 0]),
        ByteString([3, 0]), ByteString([5, 0, 0]), ByteString([2, 0, 5]), ByteString([4, 0, 6]),
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        var script = EventScript(bytes)
        var steps = 0
        while !script.input.isAtEnd, script.rig.finding == nil, !script.rig.hasExited, steps < 400 {
            script.step()
            steps += 1
        }
        script.heal()
        return script.rig.finding.map { .finding("after \(steps) steps: \($0)") } ?? .fine
    }

    private var input: Input
    private let rig: Rig
    private var clients: [Int] = []
    private let option: Int

    private init(_ bytes: Bytes) {
        input = Input(bytes)
        option = input.choice(Rig.snapshots.count)
        let limits = input.byte()
        var settings: [(ByteString, ByteString)] = [
            ("pool_mode", ["session", "transaction", "statement"][option / 2]),
            ("max_prepared_statements", option % 2 == 0 ? "0" : "2"),
        ]
        if limits & 1 != 0 { settings.append(("query_timeout", "5")) }
        if limits & 2 != 0 { settings.append(("idle_transaction_timeout", "4")) }
        if limits & 4 != 0 { settings.append(("server_lifetime", "10")) }
        if limits & 8 != 0 { settings.append(("default_pool_size", "2")) }
        if limits & 16 != 0 { settings.append(("reserve_pool_size", "1")) }
        if limits & 32 != 0 { settings.append(("max_packet_size", "1024")) }
        if limits & 64 != 0 { settings.append(("server_reset_query_always", "1")) }
        if limits & 128 != 0 { settings.append(("server_check_delay", "0")) }
        rig = Rig(Rig.snapshot(settings))
    }

    private var servers: [Int] {
        rig.links.indices.filter { rig.links[$0].isServer && rig.links[$0].isAlive }
    }

    private mutating func anyClient() -> Int? {
        let number = input.byte()
        return clients.isEmpty ? nil : clients[Int(number) % clients.count]
    }

    private mutating func anyServer() -> Int? {
        let number = input.byte()
        let servers = servers
        return servers.isEmpty ? nil : servers[Int(number) % servers.count]
    }

    private static let spans: [TimeSpan] = [
        .milliseconds(1), .milliseconds(100), .seconds(1), .seconds(3), .seconds(7), .seconds(16),
        .seconds(40),
        .seconds(130), .seconds(700), .seconds(4000),
    ]

    private mutating func step() {
        switch input.choice(16) {
        case 0: connect()
        case 1:
            guard let client = anyClient() else { return }
            rig.feed(client, ClientFraming.words[input.choice(ClientFraming.words.count)].bytes)
        case 2:
            guard let client = anyClient() else { return }
            rig.feed(client, input.take(input.choice(64)))
        case 3:
            if let server = anyServer() { _ = rig.answer(server) }
        case 4:
            guard let server = anyServer() else { return }
            speak(server, input.take(input.choice(64)))
        case 5:
            guard let server = anyServer() else { return }
            speak(server, ServerFraming.words[input.choice(ServerFraming.words.count)].bytes)
        case 6: rig.pass(Self.spans[input.choice(Self.spans.count)])
        case 7: cancel()
        case 8:
            guard let client = anyClient() else { return }
            rig.end(client, input.choice(2) == 0 ? .endOfFile : .failed(104))
        case 9:
            guard let server = anyServer() else { return }
            rig.end(server, input.choice(2) == 0 ? .endOfFile : .failed(104))
        case 10: rig.congest(input.choice(max(1, rig.links.count)))
        case 11: rig.drain(input.choice(max(1, rig.links.count)))
        case 12: command()
        case 13: signal()
        case 14:
            guard let server = anyServer() else { return }
            rig.open(server, succeeds: input.choice(4) != 0)
        default: rig.settle()
        }
    }

    private mutating func connect() {
        guard clients.count < 16 else { return }
        let user = ["u", "v", "admin", "watcher"][input.choice(4)]
        let database = ["db", "other", "pgbouncer", "none"][input.choice(4)]
        let wishes = input.choice(3)
        clients.append(
            rig.connect(user, database, wishes == 0 ? [] : [("application_name", "app \(wishes)")]))
    }

    /// Somebody who is not PostgreSQL.
    private func speak(_ server: Int, _ bytes: Bytes) {
        guard rig.links[server].isOpened else { return }
        rig.links[server].isHonest = false
        rig.feed(server, bytes)
    }

    private mutating func cancel() {
        guard let client = anyClient() else { return }
        let isRight = input.choice(4) != 0
        let greeting = Cutter(rig.links[client].sent).pieces.first { $0.kind == 0x4B }
        let key = isRight ? greeting?.body ?? [] : [1, 2, 3, 4, 5, 6, 7, 8]
        guard key.count >= 8 else { return }
        let asker = rig.dial()
        clients.append(asker)
        rig.feed(asker, Message.cancel(key))
    }

    private static let commands = [
        "PAUSE", "PAUSE db", "RESUME", "RESUME db", "DISABLE db", "ENABLE db", "KILL db", "RECONNECT",
        "SHOW STATE",
        "KILL", "RELOAD", "WAIT_CLOSE db", "SHOW CLIENTS", "SHOW SERVERS", "SHOW POOLS", "SHOW SOCKETS",
        "KILL_CLIENT 1", "KILL_CLIENT 2", "SET default_pool_size = 2", "SET pool_mode = session",
        "SET pool_mode = transaction", "SET server_lifetime = 1", "SET max_prepared_statements = 1",
        "SHOW STATS",
    ]

    private mutating func command() {
        let console = rig.connect("admin", "pgbouncer")
        rig.feed(console, Message.query(Self.commands[input.choice(Self.commands.count)]))
        clients.append(console)
        reload()
    }

    private func reload() {
        while let asker = rig.takeReload() {
            let snapshot = rig.board.snapshot
            rig.tell { $0.reloaded(snapshot, for: asker, now: $1, into: &$2) }
        }
    }

    private mutating func signal() {
        let choice = input.choice(5)
        switch choice {
        case 0: rig.tell { $0.signalled(.pause, now: $1, into: &$2) }
        case 1: rig.tell { $0.signalled(.resume, now: $1, into: &$2) }
        default:
            // A configuration without one of the databases, or with other limits.
            let old = rig.board.snapshot
            var databases = old.databases
            if choice == 3, databases.count > 1 { databases.removeLast() }
            if choice == 4, !databases.isEmpty { databases[0].hosts = ["10.0.0.2"] }
            let new = Snapshot(global: old.global, databases: databases, secrets: old.secrets)
            rig.tell { $0.reloaded(new, for: nil, now: $1, into: &$2) }
        }
    }

    // MARK: Peace

    /// No more faults: whoever waits for a server gets one or an answer, and nothing is left of who has left.
    private mutating func heal() {
        guard rig.finding == nil, !rig.hasExited else { return }
        // After SUSPEND nobody new is heard, and that goes for consoles, too.
        rig.tell { $0.signalled(.resume, now: $1, into: &$2) }
        let console = rig.connect("admin", "pgbouncer")
        for text in ["RESUME", "RESUME db", "RESUME other", "ENABLE db", "ENABLE other"] {
            rig.feed(console, Message.query(text))
        }
        for number in rig.links.indices {
            if rig.links[number].isServer, !rig.links[number].isHonest { rig.end(number) }
        }
        for _ in 0..<4 {
            for number in rig.links.indices { rig.drain(number) }
            reload()
            rig.settle()
            rig.pass(.seconds(20))
        }
        if rig.board.shutdown == .none { stuck() }
        rig.finish()
    }

    private func stuck() {
        guard rig.finding == nil else { return }
        for number in rig.links.indices where rig.links[number].isAlive {
            guard case .client(let client) = rig.links[number].id, rig.board.clients.contains(client) else {
                continue
            }
            switch rig.board.clients[client].phase {
            case .waiting, .awaitingWelcome:
                // Others may keep all servers in transactions of their own.
                guard let pool = rig.board.clients[client].pool else { continue }
                let lists = rig.board.pools[pool].lists
                if lists[.active].count == 0 {
                    rig.found(
                        "liveness: client \(number) waits, no server is at work: \(lists.sessions) sessions")
                }
            case .startup, .authenticating, .idle, .active, .skipping, .replicating, .console,
                .cancelRequest:
                break
            }
        }
    }
}
