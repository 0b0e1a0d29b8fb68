import Auth
import Config
import Pool
import Primitives
import Session
import Testing

@testable import Engine

/// How bytes arrive: a test that runs under every delivery is a proof that splits do not matter (I4).
enum Delivery: CaseIterable, Sendable, CustomTestStringConvertible {
    case whole, byteByByte, threes, random
    var testDescription: String { "\(self)" }
}

/// A configuration to be changed before the bench is built.
struct Setup {
    var global = GlobalSettings.inTheClear
    var database = DatabaseEntry(name: "db")
    var moreDatabases: [DatabaseEntry] = []
    var autoDatabase: DatabaseEntry?
    var users: [UserEntry] = []
    var secrets: [ByteString: ByteString] = ["u": "secret", "v": "secret", "w": "secret"]

    init() {
        global.authType = .trust
        global.poolMode = .transaction
        database.hosts = ["10.0.0.1"]
        global.statsPeriod = .zero
    }

    var snapshot: Snapshot {
        Snapshot(
            global: global, databases: [database] + moreDatabases, autoDatabase: autoDatabase,
            users: users,
            secrets: secrets)
    }
}

/// One switchboard, virtual time, and a world that keeps what was sent on each link. Links have names:
/// clients the ones the test gives them, servers S1, S2 … in the order they are opened.
final class Bench {
    var board: Switchboard
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let delivery: Delivery
    private var list = ActionList()
    private var chance = Random(seed: 5)

    private var links: [String: LinkID] = [:]
    private var names: [LinkID: String] = [:]
    /// Everything that was ever sent to a link, by name.
    private(set) var sent: [String: Bytes] = [:]
    /// How much of it the test has looked at.
    private var seen: [String: Int] = [:]
    private var ends: [String: String] = [:]
    /// Read and not consumed.
    private var kept: [LinkID: Bytes] = [:]
    private(set) var paused: Set<String> = []
    private var followUps: [LinkID] = []
    /// The link whose row of SHOW FDS is being taken in.
    private var arriving: (name: String, kept: Bytes)?
    /// What is still to come of the message that is being relayed to a client: its header's bytes so far,
    /// and the number of bytes behind it.
    private var relayed: [LinkID: (header: Bytes, rest: Int)] = [:]
    private var opened = 0
    private var openJobs: [NumberedSideJob] = []
    private(set) var endpoints: [String: Endpoint] = [:]
    private(set) var log: [String] = []
    /// The actions since the test last asked, as text; without log lines.
    private var told: [String] = []

    /// Actions with more bytes are told by their number only.
    private static let toldBytes = 2000

    convenience init(_ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in }) {
        var setup = Setup()
        configure(&setup)
        self.init(delivery, snapshot: setup.snapshot, helpers: false)
    }

    init(_ delivery: Delivery = .whole, snapshot: Snapshot, helpers: Bool) {
        self.delivery = delivery
        var process = ProcessFacts(
            userID: 1000, listenPort: 6432, version: "pglido test", startSeconds: 0, startInstant: now)
        process.hasHelpers = helpers
        board = Switchboard(
            snapshot: snapshot, process: process, entropy: Random(seed: 3), now: now)
    }

    // MARK: Events

    /// A client connects and says nothing.
    func dial(
        _ name: String, from peer: SocketAddress = SocketAddress(family: .ipv4, high: 0x7F00_0001 << 32)
    ) {
        event {
            guard let client = $0.accepted(peer: peer, local: peer, now: now, into: &$1) else { return }
            know(.client(client), as: name)
        }
    }

    /// A client connects and sends its StartupMessage.
    @discardableResult
    func connect(
        _ name: String, user: String = "u", database: String = "db", _ more: [(String, String)] = []
    ) -> [String] {
        dial(name)
        return say(name, startup([("user", user), ("database", database)] + more))
    }

    /// Bytes arrive from a link.
    @discardableResult
    func say(_ name: String, _ bytes: Bytes) -> [String] {
        guard let link = links[name] else {
            Issue.record("\(name) is gone and cannot say anything")
            return []
        }
        var offset = 0
        while offset < bytes.count, names[link] == name {
            let count: Int
            switch delivery {
            case .whole: count = bytes.count
            case .byteByByte: count = 1
            case .threes: count = 3
            case .random: count = 1 + chance.below(20)
            }
            let end = min(bytes.count, offset + count)
            kept[link, default: []] += bytes[offset..<end]
            offset = end
            offer(link)
        }
        return actions()
    }

    /// A server logs in: the connection stands, and PostgreSQL lets us in with these parameters in its
    /// report.
    @discardableResult
    func login(_ name: String, _ parameters: [(String, String)] = [], then more: Bytes = [])
        -> [String]
    {
        reach(name)
        var values = [
            ("server_version", "17.0"), ("client_encoding", "UTF8"), ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("standard_conforming_strings", "on"), ("application_name", ""),
        ]
        for (name, value) in parameters {
            if let place = values.firstIndex(where: { $0.0 == name }) {
                values[place].1 = value
            } else {
                values.append((name, value))
            }
        }
        let report = values.reduce(Bytes()) { $0 + parameterStatus($1.0, $1.1) }
        let number = UInt32(name.dropFirst()) ?? 0
        return say(
            name, authenticationOk + report + backendKey(number, 0x0101_0101 &* number) + ready + more)
    }

    /// The connection of a server stands.
    @discardableResult
    func reach(_ name: String) -> [String] {
        guard case .server(let server)? = links[name] else { return ["no server \(name)"] }
        let address = SocketAddress(family: .ipv4, high: 0x0A00_0001 << 32, port: 5432)
        event { $0.serverOpened(server, remote: address, local: address, now: now, into: &$1) }
        return actions()
    }

    /// The driver is through with a handshake.
    @discardableResult
    func secure(_ name: String, peer: ByteString? = nil) -> [String] {
        guard let link = links[name] else { return ["\(name) is gone"] }
        let encryption = Encryption(
            version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", peerName: peer,
            hasPeerCertificate: peer != nil)
        event { $0.secured(link, encryption, now: now, into: &$1) }
        return actions()
    }

    /// What is kept of a link's bytes, for the driver to begin a handshake with.
    func takeKept(_ name: String) -> Bytes {
        links[name].flatMap { kept.removeValue(forKey: $0) } ?? []
    }

    /// The connection of a server could not be made.
    @discardableResult
    func fail(_ name: String, _ failure: OpenFailure = .connect(111)) -> [String] {
        guard case .server(let server)? = links[name] else { return ["no server \(name)"] }
        lose(.server(server), "failed")
        event { $0.serverFailed(server, failure, now: now, into: &$1) }
        return actions()
    }

    /// The other end of a link goes away.
    @discardableResult
    func end(_ name: String, _ end: LinkEnd = .endOfFile) -> [String] {
        guard let link = links[name] else { return ["\(name) is gone"] }
        lose(link, "ended")
        event { $0.ended(link, end, now: now, into: &$1) }
        return actions()
    }

    @discardableResult
    func congest(_ name: String) -> [String] {
        guard let link = links[name] else { return ["\(name) is gone"] }
        event { $0.congested(link, into: &$1) }
        return actions()
    }

    @discardableResult
    func drain(_ name: String) -> [String] {
        guard let link = links[name] else { return ["\(name) is gone"] }
        event { $0.drained(link, now: now, into: &$1) }
        return actions()
    }

    /// Time goes by; every deadline is told at its own time.
    @discardableResult
    func pass(_ span: TimeSpan) -> [String] {
        let target = now + span
        while let next = board.nextDeadline, next <= target {
            now = max(now, next)
            event { $0.deadlinePassed(now: now, into: &$1) }
        }
        now = target
        return actions()
    }

    /// What the helpers were asked for since last asked.
    func jobs() -> [String] {
        let new = board.takeSideJobs()
        openJobs += new
        return new.map {
            switch $0.job {
            case .derive(_, _, let iterations): "derive \(iterations)"
            case .systemUser(let user): "name of \(user)"
            case .run(let command, _): "run \(command.lossyText)"
            case .read(let path): "read \(path.lossyText)"
            case .ldap(_, let user, let password):
                "ldap \(user.lossyText) \(password.withView { ByteString($0) }.lossyText)"
            case .pam(let service, let user, let password, let host):
                """
                pam \(service.lossyText) \(user.lossyText) \(password.withView { ByteString($0) }.lossyText) \
                from \(host.lossyText)
                """
            case .hostName(let address): "host of \(address.host)"
            case .withdraw: "withdraw"
            }
        }
    }

    /// The oldest job is done; `nil`: as it should be, for keys.
    @discardableResult
    func done(_ result: SideResult?) -> [String] {
        guard !openJobs.isEmpty else { return ["no job"] }
        let job = openJobs.removeFirst()
        var result = result
        if result == nil, case .derive(let secret, let salt, let iterations) = job.job {
            result = .keys(
                secret.withView { ScramKeys.derive(password: $0, salt: salt, iterations: iterations) })
        }
        event { $0.sideJobDone(job.number, result ?? .failed("?"), now: now, into: &$1) }
        followUp()
        return actions()
    }

    /// Anything else that is told to the switchboard.
    @discardableResult
    func tell(_ body: (inout Switchboard, Instant, inout ActionList) -> Void) -> [String] {
        event { body(&$0, now, &$1) }
        return actions()
    }

    /// Another process takes over: a bench with the same configuration, where everybody goes on under their
    /// names. `state`: what becomes of what PgBouncer has no columns for.
    func takenOver(withState: Bool = true) -> Bench {
        let next = Bench(delivery, snapshot: board.snapshot, helpers: false)
        next.now = now
        next.board.names = board.names
        let rows = board.heirlooms(withState: withState)
        var servers: [LinkID: ServerID] = [:]
        for row in rows where row.link == nil { next.take(row, nil, nil, []) }
        for isServer in [true, false] {
            for row in rows where row.link != nil && (row.task == .server) == isServer {
                guard let link = row.link, let name = names[link] else { continue }
                let taken = next.take(row, row.partner.flatMap { servers[$0] }, name, kept[link] ?? [])
                if case .server(let server) = taken { servers[link] = server }
                next.sent[name] = (sent[name] ?? []) + (next.sent[name] ?? [])
                next.seen[name] = sent[name]?.count
            }
        }
        next.event { $0.inheritedAll(now: next.now, into: &$1) }
        _ = next.actions()
        return next
    }

    /// One row alone.
    func takeIn(_ row: Heirloom, as name: String) { take(row, nil, name, []) }

    @discardableResult
    private func take(_ row: Heirloom, _ partner: ServerID?, _ name: String?, _ kept: Bytes) -> LinkID? {
        arriving = name.map { ($0, kept) }
        var taken: LinkID?
        event { taken = $0.inherit(row, partner: partner, now: now, into: &$1) }
        arriving = nil
        return taken
    }

    // MARK: What came of it

    /// The actions since last asked, one text each; without log lines.
    func actions() -> [String] {
        defer { told = [] }
        return told
    }

    /// The messages a link has been sent since last asked, and how it ended.
    func got(_ name: String) -> [String] {
        let all = sent[name] ?? []
        let start = seen[name] ?? 0
        seen[name] = all.count
        let isServer = endpoints[name] != nil
        var texts = Bytes(all[start...]).messages(
            fromServer: !isServer, afterFirstPacket: !isServer || start > 0)
        if let end = ends.removeValue(forKey: name) { texts.append(end) }
        return texts
    }

    /// The same without looking at it.
    func ignore(_ names: String...) {
        for name in names {
            seen[name] = sent[name]?.count
            ends[name] = nil
        }
    }

    /// The cancel key the client was given.
    func key(of name: String) -> Bytes {
        guard case .client(let client)? = links[name] else { return [] }
        let key = board.clients[client].key
        let secret = board.clients[client].longSecret?.bytes ?? []
        return (0..<8).map { UInt8(truncatingIfNeeded: key >> (56 - UInt64($0) * 8)) } + secret
    }

    func client(_ name: String) -> ClientID? {
        if case .client(let client)? = links[name] { return client }
        return nil
    }

    func server(_ name: String) -> ServerID? {
        if case .server(let server)? = links[name] { return server }
        return nil
    }

    func state(_ name: String) -> String {
        switch links[name] {
        case .client(let client)?:
            if case .active(let server) = board.clients[client].phase {
                return "active \(names[.server(server)] ?? "?")"
            }
            return "\(board.clients[client].phase)"
        case .server(let server)?: return board.serverState(server).map { "\($0)" } ?? "none"
        case nil: return "gone"
        }
    }

    var liveNames: [String] { links.keys.sorted() }

    /// Whether a link of this name lives.
    func isHere(_ name: String) -> Bool { links[name] != nil }

    /// Everybody leaves; nothing may be left of anybody.
    func finish(sourceLocation: SourceLocation = #_sourceLocation) {
        for name in links.keys.sorted() where links[name] != nil { end(name) }
        var rounds = 0
        while let name = links.keys.sorted().first, rounds < 100 {
            end(name)
            rounds += 1
        }
        let clients = board.clients.count
        let servers = board.servers.count
        let statements = board.statements.count
        #expect(clients == 0, sourceLocation: sourceLocation)
        #expect(servers == 0, sourceLocation: sourceLocation)
        #expect(statements == 0, "statements left", sourceLocation: sourceLocation)
        let counted = board.addresses.addressCount
        let strangers = board.strangers
        #expect(counted == 0, "addresses left", sourceLocation: sourceLocation)
        #expect(strangers == 0, "strangers left", sourceLocation: sourceLocation)
        for pool in board.poolIDs {
            let left = board.pools[pool].lists.sessions + board.pools[pool].lists[.cancelling].count
            let waiting = board.pools[pool].waiting.count
            let clients = board.pools[pool].clients
            let lookups = board.pools[pool].lookups.count + board.pools[pool].runningLookups
            #expect(
                [left, waiting, clients, lookups] == [0, 0, 0, 0], "pool", sourceLocation: sourceLocation)
        }
        for database in board.databaseIDs {
            let left = [board.databases[database].servers, board.databases[database].clients]
            #expect(left == [0, 0], "database", sourceLocation: sourceLocation)
        }
        for user in board.userIDs {
            let left = [board.users[user].servers, board.users[user].clients]
            #expect(left == [0, 0], "user", sourceLocation: sourceLocation)
        }
        let counts = [
            board.cancelRequests, board.consoleClients, board.cancelKeys.count,
            board.waitingCancels.count,
        ]
        #expect(counts == [0, 0, 0, 0], sourceLocation: sourceLocation)
        var bases: Set<ParameterSetID> = [board.parameters.empty]
        for pool in board.poolIDs {
            if let base = board.pools[pool].welcome?.base { bases.insert(base) }
        }
        let sets = liveParameterSets()
        #expect(sets == bases.count, "parameter sets left", sourceLocation: sourceLocation)
    }

    /// Sets held now: new ones get numbers without gaps once the free ones are used up.
    private func liveParameterSets() -> Int {
        let probes = 256
        var held: [ParameterSetID] = []
        var highest = 0
        for probe in 0..<probes {
            board.parameters.hold(again: board.parameters.empty)
            let set = ByteString("probe \(probe)").withView {
                board.parameters.replacing(board.parameters.empty, at: 4, with: $0)
            }
            held.append(set)
            highest = max(highest, Int("\(set)".filter(\.isNumber)) ?? 0)
        }
        for set in held { board.parameters.letGo(set) }
        return highest + 1 - probes
    }

    // MARK: The world

    private func event(_ body: (inout Switchboard, inout ActionList) -> Void) {
        list.removeAll()
        body(&board, &list)
        carryOut([])
        followUp()
    }

    private func offer(_ link: LinkID) {
        guard let name = names[link], !paused.contains(name), let bytes = kept[link], !bytes.isEmpty
        else { return }
        list.removeAll()
        var used = 0
        bytes.withUnsafeBytes { used = board.received(ByteView($0), from: link, now: now, into: &list) }
        kept[link] = Bytes(bytes.dropFirst(max(0, used)))
        if used > bytes.count || used < 0 { Issue.record("consumed \(used) of \(bytes.count) bytes") }
        carryOut(bytes)
        followUp()
    }

    private func followUp() {
        while !followUps.isEmpty {
            offer(followUps.removeFirst())
        }
    }

    private func know(_ link: LinkID, as name: String) {
        links[name] = link
        names[link] = name
        sent[name] = []
    }

    private func lose(_ link: LinkID, _ how: String) {
        guard let name = names.removeValue(forKey: link) else {
            Issue.record("a dead link was closed")
            return
        }
        links[name] = nil
        kept[link] = nil
        relayed[link] = nil
        paused.remove(name)
        ends[name] = how
    }

    private func pass(on bytes: Bytes, to link: LinkID, _ verb: String) {
        guard let name = names[link] else {
            Issue.record("\(verb) to a dead link")
            return
        }
        let isServer = endpoints[name] != nil
        if case .client = link { follow(bytes, to: link, name, isOurs: verb == "send") }
        if bytes.count <= Self.toldBytes {
            let texts = bytes.messages(
                fromServer: !isServer, afterFirstPacket: !isServer || sent[name]?.isEmpty == false)
            told.append("\(verb) \(name): " + texts.joined(separator: " "))
        } else {
            told.append("\(verb) \(name): \(bytes.count) bytes")
        }
        sent[name, default: []] += bytes
    }

    /// Nothing of ours may stand inside a message that is being relayed (I4).
    private func follow(_ bytes: Bytes, to link: LinkID, _ name: String, isOurs: Bool) {
        var (header, rest) = relayed[link] ?? ([], 0)
        if isOurs {
            if !header.isEmpty || rest > 0 { Issue.record("our words stand inside a message to \(name)") }
            return
        }
        var offset = 0
        while offset < bytes.count {
            if rest > 0 {
                let count = min(rest, bytes.count - offset)
                rest -= count
                offset += count
                continue
            }
            header.append(bytes[offset])
            offset += 1
            if header.count == 5 {
                rest = Int(header[1...].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }) - 4
                header = []
            }
        }
        relayed[link] = (header, rest)
    }

    private func carryOut(_ bytes: Bytes) {
        guard !list.actions.isEmpty else { return }
        let scratch = Bytes(list.scratch.view.rawBuffer)
        for action in list.actions {
            switch action {
            case .relay(let range, let link):
                guard range.end <= bytes.count else {
                    Issue.record("a relay of bytes that are not there: \(range) of \(bytes.count)")
                    continue
                }
                pass(on: Bytes(bytes[Int(range.offset)..<range.end]), to: link, "relay")
            case .send(let range, let link):
                pass(on: Bytes(scratch[Int(range.offset)..<range.end]), to: link, "send")
            case .open(let server, let host, let port):
                opened += 1
                let name = ByteString(Bytes(scratch[Int(host.offset)..<host.end]))
                endpoints["S\(opened)"] = Endpoint(host: name, port: port)
                know(.server(server), as: "S\(opened)")
                told.append("open S\(opened)")
            case .pauseReading(let link):
                if let name = names[link] { paused.insert(name) }
                told.append("pause \(names[link] ?? "?")")
            case .resumeReading(let link):
                if let name = names[link] { paused.remove(name) }
                told.append("resume \(names[link] ?? "?")")
                followUps.append(link)
            case .close(let link):
                told.append("close \(names[link] ?? "?")")
                lose(link, "closed")
            case .drop(let link):
                told.append("drop \(names[link] ?? "?")")
                lose(link, "dropped")
            case .log(_, let range):
                log.append(String(decoding: scratch[Int(range.offset)..<range.end], as: UTF8.self))
            case .startTLS(let link, let host, let isDirect):
                let name = String(decoding: scratch[Int(host.offset)..<host.end], as: UTF8.self)
                told.append("startTLS \(names[link] ?? "?") '\(name)'\(isDirect ? " direct" : "")")
            case .stopListening(let scope): told.append("stopListening \(scope)")
            case .reload: told.append("reload")
            case .handOver(_, let withSockets, let withState):
                told.append("hand over\(withSockets ? " with sockets" : "")\(withState ? " and state" : "")")
            case .exit: told.append("exit")
            case .adopt(let link):
                guard let arriving else {
                    told.append("adopted from nowhere")
                    continue
                }
                know(link, as: arriving.name)
                kept[link] = arriving.kept
                if arriving.name.hasPrefix("S") {
                    endpoints[arriving.name] = Endpoint(host: "", port: 0)
                    opened = max(opened, Int(arriving.name.dropFirst()) ?? 0)
                }
                followUps.append(link)
                self.arriving = nil
            case .post, .part: told.append("a letter, though there is one worker")
            }
        }
    }
}

extension Bench {
    /// A logged in and idle, and S1 idle.
    static func withServer(
        _ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in }
    ) -> Bench {
        let bench = Bench(delivery, configure)
        bench.connect("A")
        bench.login("S1")
        bench.ignore("A", "S1")
        return bench
    }
}
