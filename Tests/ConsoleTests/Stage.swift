import Config
import Engine
import Primitives
import Session
import Wire

@testable import Console

/// A driver in memory: one switchboard, one desk, clients and servers as bytes.
final class Stage {
    private var switchboard: Switchboard
    private var desk: ConsoleDesk
    private var actions = ActionList()
    private var kept: [LinkID: [UInt8]] = [:]
    private var output: [LinkID: [UInt8]] = [:]
    private(set) var paused: Set<LinkID> = []
    private(set) var closed: Set<LinkID> = []
    private(set) var opened: [ServerID] = []
    private(set) var reloads: [ClientID?] = []
    private(set) var lines: [String] = []
    private(set) var isExiting = false
    /// Answers to SHOW FDS that were asked for, and whether with sockets.
    private(set) var handOvers: [Bool] = []
    private(set) var stoppedListening = false
    var now = Instant(nanoseconds: 1_000_000_000_000)

    static let userID: UInt32 = 77

    init(_ change: (inout GlobalSettings) -> Void = { _ in }, databases: [DatabaseEntry]? = nil) {
        var global = GlobalSettings()
        global.serverTLSSSLMode = .disable
        global.authType = .trust
        global.adminUsers = ["admin"]
        global.statsUsers = ["watcher"]
        change(&global)
        var entry = DatabaseEntry(name: "app")
        entry.hosts = ["10.0.0.1"]
        let snapshot = Snapshot(
            global: global, databases: databases ?? [entry],
            secrets: ["admin": "", "watcher": "", "alice": ""])
        let process = ProcessFacts(
            userID: Self.userID, listenPort: 6432, version: "pglido 1.0", startSeconds: 1_700_000_000,
            startInstant: now)
        switchboard = Switchboard(
            snapshot: snapshot, process: process, entropy: Random(seed: 11), now: now)
        desk = ConsoleDesk(
            clock: WallClock(
                startSeconds: 1_700_000_000, startInstant: now, zoneOffsetSeconds: 3600, zoneName: "CET"))
    }

    // MARK: The world

    func connect(_ peer: SocketAddress = SocketAddress(family: .ipv4, high: 0x7F00_0001 << 32, port: 5555))
        -> ClientID
    {
        let local = SocketAddress(family: peer.family, high: peer.high, port: 6432)
        guard let client = switchboard.accepted(peer: peer, local: local, now: now, into: &actions) else {
            fatalError("no room")
        }
        carryOut()
        return client
    }

    /// Logs in and throws away the greeting.
    func login(_ user: String, _ database: String = "pgbouncer", minor: UInt32 = 0) -> ClientID {
        let client = connect()
        send(client, Bytes.startup(user, database, minor: minor))
        _ = take(.client(client))
        return client
    }

    func send(_ client: ClientID, _ bytes: [UInt8]) { offer(.client(client), bytes) }
    func send(_ server: ServerID, _ bytes: [UInt8]) { offer(.server(server), bytes) }

    private func offer(_ link: LinkID, _ bytes: [UInt8]) {
        let all = (kept[link] ?? []) + bytes
        kept[link] = nil
        guard !closed.contains(link) else { return }
        if paused.contains(link) {
            kept[link] = all
            return
        }
        let consumed = all.withUnsafeBytes {
            switchboard.received(ByteView($0), from: link, now: now, into: &actions)
        }
        if consumed < all.count { kept[link] = Array(all[consumed...]) }
        carryOut(all)
    }

    func leave(_ client: ClientID) {
        switchboard.ended(.client(client), .endOfFile, now: now, into: &actions)
        closed.insert(.client(client))
        carryOut()
    }

    func signal(_ order: SignalOrder) {
        switchboard.signalled(order, now: now, into: &actions)
        carryOut()
    }

    func reloaded(_ isGood: Bool, _ client: ClientID?) {
        if isGood {
            switchboard.reloaded(switchboard.snapshot, for: client, now: now, into: &actions)
        } else {
            switchboard.reloadFailed(for: client, now: now, into: &actions)
        }
        carryOut()
    }

    func pass(_ span: TimeSpan) {
        let end = now + span
        while true {
            let next = [switchboard.nextDeadline, desk.nextDeadline].compactMap(\.self).min()
            guard let next, next <= end else { break }
            now = max(now, next)
            switchboard.deadlinePassed(now: now, into: &actions)
            desk.deadlinePassed(&switchboard, now: now, into: &actions)
            carryOut()
        }
        now = end
    }

    private func carryOut(_ bytes: [UInt8] = []) {
        perform(bytes)
        while switchboard.hasConsoleWork {
            desk.serve(&switchboard, now: now, into: &actions)
            perform([])
        }
    }

    private func perform(_ bytes: [UInt8]) {
        var resumed: [LinkID] = []
        for action in actions.actions {
            switch action {
            case .relay(let range, let link):
                output[link, default: []] += bytes[Int(range.offset)..<range.end]
            case .send(let range, let link):
                output[link, default: []] += Array(actions.scratch.view(range).rawBuffer)
            case .open(let server, _, _): opened.append(server)
            case .pauseReading(let link): paused.insert(link)
            case .resumeReading(let link):
                paused.remove(link)
                resumed.append(link)
            case .close(let link), .drop(let link): closed.insert(link)
            case .log(_, let range): lines.append(actions.scratch.view(range).lossyText)
            case .startTLS: break
            case .stopListening: stoppedListening = true
            case .reload(let client): reloads.append(client)
            case .handOver(_, let withSockets, _): handOvers.append(withSockets)
            case .exit: isExiting = true
            case .post, .part, .adopt: break  // there is one worker
            }
        }
        actions.removeAll()
        for link in resumed where kept[link] != nil && !closed.contains(link) { offer(link, []) }
    }

    // MARK: What came

    func take(_ link: LinkID) -> [UInt8] {
        defer { output[link] = nil }
        return output[link] ?? []
    }

    func replies(_ client: ClientID) -> [Message] { Message.split(take(.client(client))) }

    func query(_ client: ClientID, _ text: String) -> Reply {
        send(client, Bytes.query(text))
        return Reply(replies(client))
    }

    func state(of client: ClientID) -> String? {
        let number = switchboard.clients.contains(client) ? switchboard.clients[client].number : 0
        let observer = login("admin")
        defer { leave(observer) }
        return query(observer, "SHOW CLIENTS").records.first { $0["id"] == String(number) }?["state"]
    }

    func number(of client: ClientID) -> UInt64 { switchboard.clients[client].number }

    var setting: GlobalSettings { switchboard.snapshot.global }

    // MARK: A server

    /// Logs the newest server in.
    func welcome() -> ServerID {
        let server = opened.removeLast()
        let remote = SocketAddress(family: .ipv4, high: 0x0A00_0001 << 32, port: 5432)
        switchboard.serverOpened(server, remote: remote, local: remote, now: now, into: &actions)
        carryOut()
        send(
            server,
            Bytes.message("R", [0, 0, 0, 0])
                + Bytes.message("S", Bytes.string("server_version") + Bytes.string("17"))
                + Bytes.message("S", Bytes.string("client_encoding") + Bytes.string("UTF8"))
                + Bytes.message("K", [0, 0, 0, 9, 1, 2, 3, 4]) + Bytes.ready())
        _ = take(.server(server))
        return server
    }

    /// An application inside a transaction, and its server.
    func busy() -> (client: ClientID, server: ServerID) {
        let client = login("alice", "app")
        let server = welcome()
        send(client, Bytes.query("BEGIN"))
        send(server, Bytes.complete("BEGIN") + Bytes.ready("T"))
        _ = replies(client)
        return (client, server)
    }

    func commit(_ pair: (client: ClientID, server: ServerID)) {
        send(pair.client, Bytes.query("COMMIT"))
        send(pair.server, Bytes.complete("COMMIT") + Bytes.ready())
    }
}

/// Messages as bytes.
enum Bytes {
    static func string(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }
    static func uint16(_ value: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
    }
    static func uint32(_ value: Int) -> [UInt8] { uint16(value >> 16) + uint16(value) }

    static func message(_ kind: Character, _ body: [UInt8] = []) -> [UInt8] {
        [kind.asciiValue ?? 0] + uint32(body.count + 4) + body
    }

    static func startup(_ user: String, _ database: String, minor: UInt32 = 0) -> [UInt8] {
        let pairs = string("user") + string(user) + string("database") + string(database) + [0]
        return uint32(pairs.count + 8) + uint32(3 << 16 | Int(minor)) + pairs
    }

    static func query(_ text: String) -> [UInt8] { message("Q", string(text)) }
    static func parse(_ name: String, _ text: String) -> [UInt8] {
        message("P", string(name) + string(text) + uint16(0))
    }
    static func bind(_ portal: String, _ name: String, formats: [Int] = []) -> [UInt8] {
        let tail = uint16(formats.count) + formats.flatMap { uint16($0) }
        return message("B", string(portal) + string(name) + uint16(0) + uint16(0) + tail)
    }
    static func describe(_ kind: Character, _ name: String) -> [UInt8] {
        message("D", [kind.asciiValue ?? 0] + string(name))
    }
    static func execute(_ portal: String, _ limit: Int = 0) -> [UInt8] {
        message("E", string(portal) + uint32(limit))
    }
    static let sync = message("S")

    static func complete(_ tag: String) -> [UInt8] { message("C", string(tag)) }
    static func ready(_ status: Character = "I") -> [UInt8] { message("Z", [status.asciiValue ?? 0]) }
}

struct Message: Equatable {
    let kind: Character
    let body: [UInt8]

    static func split(_ bytes: [UInt8]) -> [Message] {
        var messages: [Message] = []
        var place = 0
        while place + 5 <= bytes.count {
            let length = bytes[(place + 1)..<(place + 5)].reduce(0) { $0 << 8 | Int($1) }
            let kind = Character(UnicodeScalar(bytes[place]))
            messages.append(Message(kind: kind, body: Array(bytes[(place + 5)..<(place + 1 + length)])))
            place += 1 + length
        }
        return messages
    }

    /// Fields of an ErrorResponse or NoticeResponse, by letter.
    var fields: [Character: String] {
        var fields: [Character: String] = [:]
        for field in body.split(separator: 0) {
            guard let first = field.first else { continue }
            fields[Character(UnicodeScalar(first))] = String(decoding: field.dropFirst(), as: UTF8.self)
        }
        return fields
    }

    func uint16(_ place: Int) -> Int { Int(body[place]) << 8 | Int(body[place + 1]) }
    func uint32(_ place: Int) -> Int { uint16(place) << 16 | uint16(place + 2) }

    /// "name:type" of a RowDescription.
    var columns: [String] {
        var place = 2
        return (0..<uint16(0)).map { _ in
            let end = body[place...].firstIndex(of: 0) ?? body.count
            let name = String(decoding: body[place..<end], as: UTF8.self)
            defer { place = end + 19 }
            return "\(name):\(uint32(end + 7))"
        }
    }

    /// Values of a DataRow.
    var values: [[UInt8]?] {
        var place = 2
        return (0..<uint16(0)).map { _ in
            let length = uint32(place)
            place += 4
            if length == 0xFFFF_FFFF { return nil }
            defer { place += length }
            return Array(body[place..<(place + length)])
        }
    }
}

/// The answer to one Query.
struct Reply {
    let messages: [Message]
    init(_ messages: [Message]) { self.messages = messages }

    var kinds: String { String(messages.map(\.kind)) }
    var columns: [String] { messages.first { $0.kind == "T" }?.columns ?? [] }
    var names: [String] { columns.map { String($0.prefix { $0 != ":" }) } }
    var rows: [[String?]] {
        messages.filter { $0.kind == "D" }.map { row in
            row.values.map { value in value.map { String(decoding: $0, as: UTF8.self) } }
        }
    }
    var records: [[String: String]] {
        rows.map { row in
            Dictionary(zip(names, row).compactMap { name, value in value.map { (name, $0) } }) { a, _ in a }
        }
    }
    var tag: String? {
        messages.first { $0.kind == "C" }.map { String(decoding: $0.body.dropLast(), as: UTF8.self) }
    }
    var error: [Character: String]? { messages.first { $0.kind == "E" }?.fields }
    var errorText: String? { error?["M"] }
}
