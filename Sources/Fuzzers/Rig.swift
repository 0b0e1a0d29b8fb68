import Config
import Console
import Engine
import Pool
import Primitives
import Session

/// The production engine with a driver that keeps bytes instead of sockets. Feeds links, carries out actions,
/// and checks after every event what must hold whatever the peers say.
///
/// Links are numbers, in the order of their birth, clients and servers alike. The first broken rule stays in
/// `finding`.
final class Rig {
    struct Link {
        let id: LinkID
        /// All that came from the peer, and how much of it the engine has not consumed yet.
        var heard = Bytes()
        var kept = Bytes()
        /// All that was written for the peer.
        var sent = Bytes()
        var isPaused = false
        var isOpened = false
        /// How it ended; empty while it lives.
        var ending = ""
        var model = ModelServer()
        /// Whether the model still stands for it; hostile bytes end that.
        var isHonest = true

        var isAlive: Bool { ending.isEmpty }
        var isServer: Bool { if case .server = id { true } else { false } }
    }

    private(set) var board: Switchboard
    private var desk: ConsoleDesk
    private var list = ActionList()
    var links: [Link] = []
    private var numbers: [LinkID: Int] = [:]
    private var followUps: [Int] = []
    private(set) var finding: String?
    var now = Rig.start
    private(set) var reloads: [ClientID?] = []
    private(set) var hasExited = false
    /// Bytes that were written, log lines included.
    private(set) var written = 0
    private(set) var lines: [Bytes] = []
    var keepsLines = false

    static let start = Instant(nanoseconds: 1_000_000_000_000)

    init(_ snapshot: Snapshot) {
        let process = ProcessFacts(
            userID: 1000, listenPort: 6432, version: "pglido fuzz", startSeconds: 1_700_000_000,
            startInstant: Rig.start)
        board = Switchboard(snapshot: snapshot, process: process, entropy: Random(seed: 3), now: Rig.start)
        desk = ConsoleDesk(clock: WallClock(startSeconds: 1_700_000_000, startInstant: Rig.start))
    }

    /// Configurations by pool mode and by whether prepared statements are followed.
    static let snapshots: [Snapshot] = ["session", "transaction", "statement"].flatMap { mode in
        ["0", "2"].map { statements in
            Rig.snapshot([("pool_mode", mode), ("max_prepared_statements", statements)])
        }
    }

    static func snapshot(_ settings: [(ByteString, ByteString)]) -> Snapshot {
        var global = GlobalSettings()
        global.serverTLSSSLMode = .disable
        global.authType = .trust
        global.statsPeriod = .zero
        global.defaultPoolSize = 1
        global.adminUsers = ["admin"]
        global.statsUsers = ["watcher"]
        var database = DatabaseEntry(name: "db")
        database.hosts = ["10.0.0.1"]
        var other = DatabaseEntry(name: "other")
        other.hosts = ["10.0.0.1"]
        let secrets: [ByteString: ByteString] = [
            "u": "secret", "v": "secret", "admin": "secret", "watcher": "secret", "pgbouncer": "secret",
        ]
        var snapshot = Snapshot(global: global, databases: [database, other], secrets: secrets)
        for (key, value) in settings {
            if case .success(let changed) = snapshot.setting(key, to: value) { snapshot = changed }
        }
        return snapshot
    }

    /// A console client that waits for a reload; the reload is the caller's from here on.
    func takeReload() -> ClientID? {
        while !reloads.isEmpty {
            if let asker = reloads.removeFirst() { return asker }
        }
        return nil
    }

    func found(_ text: @autoclosure () -> String) {
        if finding == nil { finding = text() }
    }

    // MARK: Events

    /// A client connects; its number.
    func dial() -> Int {
        var number = -1
        let peer = SocketAddress(family: .ipv4, high: 0x7F00_0001 << 32, port: 5555)
        event {
            guard let client = $0.accepted(peer: peer, local: peer, now: now, into: &$1) else { return }
            number = know(.client(client))
        }
        return number
    }

    func connect(_ user: String, _ database: String, _ more: [(String, String)] = []) -> Int {
        let number = dial()
        feed(number, Message.startup(user, database, more))
        return number
    }

    /// Bytes arrive from a link, in pieces.
    func feed(_ number: Int, _ bytes: Bytes, in pieces: [Int]? = nil) {
        guard links.indices.contains(number) else { return }
        var place = 0
        for piece in pieces ?? [bytes.count] {
            guard links[number].isAlive, place < bytes.count else { return }
            let part = bytes[place..<min(bytes.count, place + piece)]
            Trace.say("feed \(number) \(Bytes(part).shown)")
            links[number].heard += part
            links[number].kept += part
            place += piece
            offer(number)
        }
    }

    func open(_ number: Int, succeeds: Bool = true) {
        guard links.indices.contains(number), links[number].isAlive, !links[number].isOpened,
            case .server(let server) = links[number].id
        else { return }
        links[number].isOpened = true
        Trace.say("open \(number) \(succeeds)")
        let address = SocketAddress(family: .ipv4, high: 0x0A00_0001 << 32, port: 5432)
        if succeeds {
            event { $0.serverOpened(server, remote: address, local: address, now: now, into: &$1) }
        } else {
            lose(number, "failed")
            event { $0.serverFailed(server, .connect(111), now: now, into: &$1) }
        }
    }

    func end(_ number: Int, _ end: LinkEnd = .endOfFile) {
        guard links.indices.contains(number), links[number].isAlive else { return }
        if links[number].isServer, !links[number].isOpened { return open(number, succeeds: false) }
        let link = links[number].id
        Trace.say("end \(number)")
        lose(number, "ended")
        event { $0.ended(link, end, now: now, into: &$1) }
    }

    func congest(_ number: Int) {
        guard links.indices.contains(number), links[number].isAlive else { return }
        event { $0.congested(links[number].id, into: &$1) }
    }

    func drain(_ number: Int) {
        guard links.indices.contains(number), links[number].isAlive else { return }
        event { $0.drained(links[number].id, now: now, into: &$1) }
    }

    /// Time goes by; every deadline is told at its own time.
    func pass(_ span: TimeSpan) {
        Trace.say("pass \(span.fractionalSeconds) s")
        let target = now + span
        var told = 0
        while let next = board.nextDeadline, next <= target, finding == nil, !hasExited {
            // A deadline in the past that comes again and again would be a loop.
            told = next <= now ? told + 1 : 0
            if told > 10_000 { return found("progress: deadlines that never pass") }
            now = max(now, next)
            event { $0.deadlinePassed(now: now, into: &$1) }
        }
        now = target
    }

    func tell(_ body: (inout Switchboard, Instant, inout ActionList) -> Void) {
        event { body(&$0, now, &$1) }
    }

    /// Honest servers are opened and answer, until nobody has anything to say.
    func settle() {
        var rounds = 0
        var isQuiet = false
        while !isQuiet, finding == nil, !hasExited {
            isQuiet = true
            for number in links.indices where links[number].isAlive && links[number].isServer {
                if !links[number].isOpened {
                    open(number)
                    isQuiet = false
                }
                if answer(number) { isQuiet = false }
            }
            rounds += 1
            if rounds > 5000 { found("progress: servers are asked for ever") }
        }
    }

    /// The model answers for one server; whether it had anything to say.
    @discardableResult
    func answer(_ number: Int) -> Bool {
        guard links.indices.contains(number), links[number].isAlive, links[number].isServer,
            links[number].isOpened, links[number].isHonest
        else { return false }
        let said = links[number].model.answers(to: links[number].sent)
        if !said.isEmpty { feed(number, said) }
        if links[number].model.isOver, links[number].isAlive {
            end(number)
            return true
        }
        return !said.isEmpty
    }

    // MARK: The world

    private func event(_ body: (inout Switchboard, inout ActionList) -> Void) {
        guard finding == nil, !hasExited else { return }
        let before = assignments()
        list.removeAll()
        body(&board, &list)
        carryOut([], from: nil, before)
        followUp()
    }

    private func offer(_ number: Int) {
        guard finding == nil, !hasExited, links[number].isAlive, !links[number].isPaused,
            !links[number].kept.isEmpty
        else { return }
        let before = assignments()
        let bytes = links[number].kept
        list.removeAll()
        var used = 0
        ByteString(bytes).withView {
            used = board.received($0, from: links[number].id, now: now, into: &list)
        }
        if used < 0 || used > bytes.count { return found("consumed \(used) of \(bytes.count) bytes") }
        links[number].kept.removeFirst(used)
        carryOut(bytes, from: number, before)
        followUp()
    }

    private func followUp() {
        var rounds = 0
        while !followUps.isEmpty, finding == nil {
            offer(followUps.removeFirst())
            rounds += 1
            if rounds > 10_000 { found("progress: links are resumed for ever") }
        }
    }

    private func know(_ link: LinkID) -> Int {
        if let old = numbers[link], links[old].isAlive { found("a handle was given twice") }
        numbers[link] = links.count
        links.append(Link(id: link))
        return links.count - 1
    }

    private func lose(_ number: Int, _ ending: String) {
        links[number].ending = ending
        links[number].kept = []
        numbers[links[number].id] = nil
    }

    private func carryOut(_ bytes: Bytes, from source: Int?, _ before: [Assignment]) {
        perform(bytes, from: source, before)
        var rounds = 0
        while board.hasConsoleWork, finding == nil {
            list.removeAll()
            desk.serve(&board, now: now, into: &list)
            perform([], from: nil, before)
            rounds += 1
            if rounds > 1000 { found("progress: the console has work for ever") }
        }
        if finding == nil { check(before) }
    }

    private func perform(_ bytes: Bytes, from source: Int?, _ before: [Assignment]) {
        written += list.scratch.count
        for action in list.actions {
            Trace.say("  \(describe(action, bytes))")
            switch action {
            case .relay(let range, let link):
                guard let number = numbers[link] else { return found("a relay to a dead link") }
                guard range.end <= bytes.count, let source else {
                    return found("a relay of bytes that are not there: \(range) of \(bytes.count)")
                }
                checkOwner(source, number, before)
                written += Int(range.count)
                links[number].sent += bytes[Int(range.offset)..<range.end]
            case .send(let range, let link):
                guard let number = numbers[link] else { return found("a send to a dead link") }
                links[number].sent += ByteString(list.scratch.view(range)).bytes
            case .open(let server, _, _):
                _ = know(.server(server))
            case .pauseReading(let link):
                guard let number = numbers[link] else { return found("a pause of a dead link") }
                links[number].isPaused = true
            case .resumeReading(let link):
                // A server that has ended is let go of all the same.
                guard let number = numbers[link] else { continue }
                links[number].isPaused = false
                followUps.append(number)
            case .close(let link):
                guard let number = numbers[link] else { return found("a close of a dead link") }
                lose(number, "closed")
            case .drop(let link):
                guard let number = numbers[link] else { return found("a drop of a dead link") }
                lose(number, "dropped")
            case .log(_, let range):
                if keepsLines { lines.append(ByteString(list.scratch.view(range)).bytes) }
            case .startTLS: break
            case .stopListening: break
            case .reload(let client): reloads.append(client)
            case .handOver(let client, _, let withState):
                guard let number = numbers[.client(client)] else { return found("rows for a dead link") }
                var answer = ByteBuffer(capacity: 1024)
                FDRow.writeHeader(withState: withState, into: &answer)
                for heirloom in board.heirlooms(withState: withState) {
                    FDRow(.heirloom(heirloom), descriptor: 0).write(withState: withState, into: &answer)
                }
                FDRow.writeEnd(into: &answer)
                links[number].sent += ByteString(answer.view).bytes
            case .exit: hasExited = true
            case .post, .part, .adopt: break  // there is one worker
            }
        }
    }

    private func describe(_ action: Action, _ bytes: Bytes) -> String {
        func name(_ link: LinkID) -> String { numbers[link].map { "\($0)" } ?? "a dead link" }
        switch action {
        case .relay(let range, let link):
            return
                "relay to \(name(link)): "
                + Bytes(bytes.prefix(range.end).dropFirst(Int(range.offset))).shown
        case .send(let range, let link):
            return "send to \(name(link)): \(ByteString(list.scratch.view(range)).bytes.shown)"
        case .open: return "open \(links.count)"
        case .pauseReading(let link): return "pause \(name(link))"
        case .resumeReading(let link): return "resume \(name(link))"
        case .close(let link): return "close \(name(link))"
        case .drop(let link): return "drop \(name(link))"
        case .log(_, let range): return "log " + ByteString(list.scratch.view(range)).bytes.shown
        case .startTLS, .stopListening, .reload, .handOver, .exit, .post, .part, .adopt: return "\(action)"
        }
    }
}

/// What happens on every rig, told as it happens; for looking into a finding.
package enum Trace {
    // Set before the first input is run, by the only thread.
    nonisolated(unsafe) package static var isOn = false

    static func say(_ text: @autoclosure () -> String) {
        if isOn { print(text()) }
    }
}
