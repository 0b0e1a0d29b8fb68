import Config
import Pool
import Primitives
import Session
import Testing

@testable import Engine

/// What a world of several workers is to be like.
struct CrewPlan {
    var workers = 2
    var seed: UInt64 = 1
    var clients = 16
    /// Queries each client makes.
    var rounds = 20
    var databases = ["db"]
    /// The databases have no lines of their own: `*` covers them.
    var isAutomatic = false
    var users = ["u"]
    /// Microseconds; each letter, answer or pause takes a random time up to this.
    var letterMicroseconds = 200
    var serviceMicroseconds = 800
    var thinkMicroseconds = 400
    var loginMicroseconds = 3000
    /// Things that go wrong, or that operators do, on the way.
    var mishaps = 0
    var orders = 0
    /// Some requests use prepared statements.
    var prepares = true
    var configure: (inout GlobalSettings) -> Void = { _ in }
    /// PostgreSQL says yes to TLS.
    var encrypts: Bool { seed % 2 == 1 }
    /// Where a client goes; `nil` leaves it to the keeper.
    var place: ((Int) -> Int)?
}

/// Several switchboards in virtual time, the letters between them delayed at random, a PostgreSQL that echoes, and
/// clients that know what they must get. Checks at every event: limits as PostgreSQL sees them, the keeper's books,
/// the order in which clients are served; at the end, that everybody was served and nothing is left.
final class CrewWorld {
    final class Node {
        var board: Switchboard
        var list = ActionList()
        var links: [LinkID: Socket] = [:]
        init(_ board: consuming Switchboard) { self.board = board }
    }

    final class Socket {
        enum Kind {
            case client(Int)
            case server(Server)
        }
        let kind: Kind
        var owner: (worker: Int, link: LinkID)?
        var kept: Bytes = []
        var isPaused = false
        init(_ kind: Kind) { self.kind = kind }
    }

    final class Server {
        let pool: PoolLabel
        var input: Bytes = []
        var isLoggedIn = false
        var statements: [String: String] = [:]
        var bound = ""
        var freeAt = Instant.zero
        init(_ pool: PoolLabel) { self.pool = pool }
    }

    final class Client {
        let user: String
        let database: String
        var socket: Socket?
        var input: Bytes = []
        var round = 0
        var isIn = false
        /// What the answer to the request under way must say, since when it is under way, and whether it has reached a
        /// server.
        var wanted: String?
        var since = Instant.zero
        var isServed = false
        var isDone = false
        var worker = 0
        var prepared: Set<String> = []
        /// The request under way prepares what it uses.
        var isPreparing = false
        init(user: String, database: String) {
            self.user = user
            self.database = database
        }
    }

    enum Happening {
        case letter(from: Int, to: Int)
        case answer(Socket, Bytes)
        case reached(Socket, ServerID, Int)
        case shookHands(Socket)
        case act(Int)
        case mishap
        case order
        case resume
    }

    let plan: CrewPlan
    var nodes: [Node] = []
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let start = Instant(nanoseconds: 1_000_000_000_000)
    private var heap: [(at: Instant, order: Int, what: Happening)] = []
    private var order = 0
    private var chance: Random
    private var mail: [[(letter: Letter, socket: Socket?)]] = []
    private var lastArrival: [Instant] = []
    private var servers: [ObjectIdentifier: Socket] = [:]
    var clients: [Client] = []
    private(set) var served = 0
    private(set) var refused: [String] = []
    private(set) var lettersPosted = 0
    private(set) var parcels = 0
    private(set) var opened = 0
    private(set) var worstOvertaking = TimeSpan.zero
    private(set) var exits = 0
    private(set) var problems: [String] = []
    private var isPaused = false
    private var global: GlobalSettings

    init(_ plan: CrewPlan) {
        self.plan = plan
        chance = Random(seed: plan.seed)
        global = GlobalSettings()
        global.authType = .trust
        global.poolMode = .transaction
        global.statsPeriod = .zero
        global.defaultPoolSize = 4
        global.logConnections = false
        global.logDisconnections = false
        global.maxClientConn = 1000
        plan.configure(&global)
        let process = ProcessFacts(
            userID: 1000, listenPort: 6432, version: "pglido test", startSeconds: 0, startInstant: now)
        var random: any Entropy = Random(seed: 7)
        let instance = InstanceSecretMaker.make(&random)
        for index in 0..<plan.workers {
            let crew = Crew(me: WorkerID(index: UInt8(index)), count: plan.workers)
            nodes.append(
                Node(
                    Switchboard(
                        snapshot: snapshot(), process: process,
                        entropy: Random(seed: plan.seed &* 64 &+ UInt64(index)), crew: crew,
                        instance: instance,
                        now: now)))
        }
        mail = Array(repeating: [], count: plan.workers * plan.workers)
        lastArrival = Array(repeating: now, count: plan.workers * plan.workers)
        for index in 0..<plan.clients {
            clients.append(
                Client(
                    user: plan.users[index % plan.users.count],
                    database: plan.databases[index / plan.users.count % plan.databases.count]))
            add(.act(index), after: span(2000))
        }
        for _ in 0..<plan.mishaps { add(.mishap, after: span(50_000)) }
        for _ in 0..<plan.orders { add(.order, after: span(50_000)) }
    }

    private func snapshot() -> Snapshot {
        let entries = plan.databases.map { name in
            var entry = DatabaseEntry(name: ByteString(name))
            entry.hosts = ["10.0.0.1"]
            return entry
        }
        let secrets = Dictionary(
            uniqueKeysWithValues: plan.users.map { (ByteString($0), "secret" as ByteString) })
        guard plan.isAutomatic else {
            return Snapshot(global: global, databases: entries, secrets: secrets)
        }
        var star = DatabaseEntry(name: "*")
        star.hosts = ["10.0.0.1"]
        return Snapshot(global: global, databases: [], autoDatabase: star, secrets: secrets)
    }

    private func span(_ microseconds: Int) -> TimeSpan {
        .microseconds(microseconds == 0 ? 0 : chance.below(microseconds))
    }

    private func add(_ what: Happening, after span: TimeSpan) { add(what, at: now + span) }

    private func add(_ what: Happening, at instant: Instant) {
        order += 1
        var place = heap.count
        heap.append((instant, order, what))
        while place > 0 {
            let parent = (place - 1) / 2
            if (heap[parent].at, heap[parent].order) <= (heap[place].at, heap[place].order) { break }
            heap.swapAt(parent, place)
            place = parent
        }
    }

    private func take() -> Happening {
        let first = heap[0].what
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var place = 0
            while true {
                var child = 2 * place + 1
                guard child < heap.count else { break }
                if child + 1 < heap.count,
                    (heap[child + 1].at, heap[child + 1].order) < (heap[child].at, heap[child].order)
                {
                    child += 1
                }
                if (heap[place].at, heap[place].order) <= (heap[child].at, heap[child].order) { break }
                heap.swapAt(place, child)
                place = child
            }
        }
        return first
    }

    private func complain(_ text: String) {
        if problems.count < 20 { problems.append("\(now.since(start).wholeMicroseconds) us: \(text)") }
    }

    // MARK: Running

    /// Runs until every client is done, or for so long.
    func run(_ longest: TimeSpan = .seconds(120)) {
        let end = now + longest
        while clients.contains(where: { !$0.isDone }), now < end, problems.isEmpty { step(end) }
        if clients.contains(where: { !$0.isDone }) {
            let stuck = clients.indices.filter { !clients[$0].isDone }
            complain(
                "clients \(stuck) were not served: " + stuck.prefix(3).map(describe).joined(separator: "; "))
        }
    }

    private func describe(_ index: Int) -> String {
        guard let owner = clients[index].socket?.owner, case .client(let id) = owner.link else {
            return "no socket"
        }
        let phase = "\(nodes[owner.worker].board.clients[id].phase)"
        var text = "\(index) on \(owner.worker) \(phase) round \(clients[index].round)"
        for (place, node) in nodes.enumerated() {
            for pool in node.board.poolIDs {
                let lists = node.board.pools[pool].lists
                text += "\n  \(place) \(node.board.label(of: pool).database.lossyText)"
                text += " here \(lists.here) lent \(lists.lent) idle \(lists[.idle].count)"
                text += " active \(lists[.active].count) testing \(lists[.testing].count)"
                text += " waiting \(node.board.pools[pool].waiting.count) \(node.board.pools[pool].loans)"
                text += " paused \(node.board.mode) \(node.board.hasLineTimer) \(node.board.watchedPools)"
            }
        }
        return text
    }

    /// Time goes by; nothing else is to happen.
    func pass(_ span: TimeSpan) {
        let end = now + span
        while now < end { step(end) }
    }

    private func step(_ end: Instant) {
        var next = heap.first?.at ?? .never
        var due: Int?
        for (index, node) in nodes.enumerated() {
            if let deadline = node.board.nextDeadline, deadline < next {
                next = deadline
                due = index
            }
        }
        guard next <= end else {
            now = end
            return
        }
        now = max(now, next)
        if let due {
            event(due) { $0.deadlinePassed(now: self.now, into: &$1) }
        } else {
            happen(take())
        }
        checkBooks()
    }

    private func happen(_ what: Happening) {
        switch what {
        case .letter(let from, let to): deliver(from, to)
        case .answer(let socket, let bytes): receive(bytes, from: socket)
        case .reached(let socket, let server, let worker):
            guard socket.owner?.link == .server(server), socket.owner?.worker == worker else { return }
            let address = SocketAddress(family: .ipv4, high: 0x0A00_0001 << 32, port: 5432)
            event(worker) {
                $0.serverOpened(server, remote: address, local: address, now: self.now, into: &$1)
            }
        case .shookHands(let socket):
            guard let (worker, link) = socket.owner else { return }
            event(worker) {
                $0.secured(link, Encryption(version: "TLSv1.3", cipher: "X"), now: self.now, into: &$1)
            }
        case .act(let index): act(index)
        case .mishap: mishap()
        case .order: operate()
        case .resume:
            isPaused = false
            event(0) { $0.resume(nil, now: self.now, into: &$1) }
        }
    }

    // MARK: Letters

    private func post(_ letter: Letter, _ socket: Socket?, from: Int, to: Int) {
        if from != 0, to != 0 { complain("a letter from \(from) to \(to)") }
        lettersPosted += 1
        if case .server = letter { parcels += 1 }
        let pair = from * plan.workers + to
        mail[pair].append((letter, socket))
        lastArrival[pair] = max(lastArrival[pair], now + span(plan.letterMicroseconds))
        add(.letter(from: from, to: to), at: lastArrival[pair])
    }

    private func deliver(_ from: Int, _ to: Int) {
        let (letter, socket) = mail[from * plan.workers + to].removeFirst()
        let node = nodes[to]
        node.list.removeAll()
        node.board.letterArrived(letter, from: WorkerID(index: UInt8(from)), now: now, into: &node.list)
        let isWanted = node.list.actions.contains { if case .adopt = $0 { true } else { false } }
        carryOut(to, [], letterSocket: socket)
        if let socket, !isWanted { lost(socket) }
        if let socket, case .client(let parcel) = letter, !parcel.bytes.isEmpty, socket.owner != nil {
            socket.kept = parcel.bytes.bytes
            offer(socket)
        }
    }

    // MARK: Events of a board

    private func event(_ worker: Int, _ body: (inout Switchboard, inout ActionList) -> Void) {
        let node = nodes[worker]
        node.list.removeAll()
        body(&node.board, &node.list)
        carryOut(worker, [])
    }

    func tell(_ worker: Int, _ body: (inout Switchboard, Instant, inout ActionList) -> Void) {
        event(worker) { body(&$0, self.now, &$1) }
    }

    private func receive(_ bytes: Bytes, from socket: Socket) {
        guard socket.owner != nil else { return }
        socket.kept += bytes
        offer(socket)
    }

    private func offer(_ socket: Socket) {
        guard let (worker, link) = socket.owner, !socket.isPaused, !socket.kept.isEmpty else { return }
        let node = nodes[worker]
        let bytes = socket.kept
        node.list.removeAll()
        var used = 0
        bytes.withUnsafeBytes {
            used = node.board.received(ByteView($0), from: link, now: now, into: &node.list)
        }
        socket.kept = Bytes(bytes.dropFirst(max(0, used)))
        carryOut(worker, bytes)
    }

    private func lost(_ socket: Socket) {
        socket.owner = nil
        servers[ObjectIdentifier(socket)] = nil
        if case .client(let index) = socket.kind { ended(index) }
    }

    private func carryOut(_ worker: Int, _ bytes: Bytes, letterSocket: Socket? = nil) {
        let node = nodes[worker]
        let actions = node.list.actions
        let letters = node.list.letters
        let scratch = Bytes(node.list.scratch.view.rawBuffer)
        var again: [Socket] = []
        for action in actions {
            switch action {
            case .relay(let range, let link):
                write(Bytes(bytes[Int(range.offset)..<range.end]), to: link, worker)
            case .send(let range, let link):
                write(Bytes(scratch[Int(range.offset)..<range.end]), to: link, worker)
            case .open(let server, _, _):
                open(server, worker)
            case .pauseReading(let link): node.links[link]?.isPaused = true
            case .resumeReading(let link):
                if let socket = node.links[link] {
                    socket.isPaused = false
                    again.append(socket)
                }
            case .close(let link), .drop(let link):
                guard let socket = node.links.removeValue(forKey: link) else {
                    complain("a dead link was closed")
                    continue
                }
                lost(socket)
            case .startTLS(let link, _, _):
                guard let socket = node.links[link] else { return complain("TLS on a dead link") }
                add(.shookHands(socket), after: span(plan.loginMicroseconds))
            case .log, .stopListening, .reload: break
            case .handOver: complain("a takeover with several workers")
            case .exit: exits += 1
            case .post(let index, let to):
                post(letters[Int(index.place)], nil, from: worker, to: Int(to.index))
            case .part(let link, let index, let to):
                guard let socket = node.links.removeValue(forKey: link) else {
                    complain("a dead link went with a letter")
                    continue
                }
                socket.owner = nil
                socket.isPaused = false
                socket.kept = []
                post(letters[Int(index.place)], socket, from: worker, to: Int(to.index))
            case .adopt(let link):
                guard let letterSocket, letterSocket.owner == nil else {
                    complain("adopted from nowhere")
                    continue
                }
                letterSocket.owner = (worker, link)
                node.links[link] = letterSocket
                if case .client(let index) = letterSocket.kind { clients[index].worker = worker }
            }
        }
        for socket in again { offer(socket) }
    }

    // MARK: PostgreSQL

    private func open(_ server: ServerID, _ worker: Int) {
        let node = nodes[worker]
        let pool = node.board.servers[server].pool
        let label = PoolLabel(
            database: node.board.databases[node.board.pools[pool].database].name,
            user: node.board.users[node.board.pools[pool].user].name)
        if worker != 0, node.board.servers[server].victim == nil { complain("a mate opened a server") }
        let socket = Socket(.server(Server(label)))
        socket.owner = (worker, .server(server))
        node.links[.server(server)] = socket
        if node.board.servers[server].victim == nil {
            servers[ObjectIdentifier(socket)] = socket
            opened += 1
            checkLimits(label)
        }
        add(.reached(socket, server, worker), after: span(plan.loginMicroseconds))
    }

    /// As PostgreSQL sees it, right after an opening.
    private func checkLimits(_ label: PoolLabel) {
        var inPool = 0
        var inDatabase = 0
        var ofUser = 0
        for socket in servers.values {
            guard case .server(let server) = socket.kind else { continue }
            if server.pool == label { inPool += 1 }
            if server.pool.database == label.database { inDatabase += 1 }
            if server.pool.user == label.user { ofUser += 1 }
        }
        let size = global.defaultPoolSize + global.reservePoolSize
        if inPool > size { complain("\(inPool) servers in a pool of \(size)") }
        if global.maxDbConnections > 0, inDatabase > global.maxDbConnections {
            complain("\(inDatabase) servers of a database with \(global.maxDbConnections)")
        }
        if global.maxUserConnections > 0, ofUser > global.maxUserConnections {
            complain("\(ofUser) servers of a user with \(global.maxUserConnections)")
        }
    }

    private func write(_ bytes: Bytes, to link: LinkID, _ worker: Int) {
        guard let socket = nodes[worker].links[link] else { return complain("bytes for a dead link") }
        switch socket.kind {
        case .client(let index): hear(bytes, index)
        case .server(let server):
            server.input += bytes
            var client: Int?
            if case .server(let id) = link, nodes[worker].board.servers.contains(id),
                let lent = nodes[worker].board.servers[id].client,
                case .client(let index)? = nodes[worker].links[.client(lent)]?.kind
            {
                client = index
            }
            listen(server, socket, for: client)
        }
    }

    private func listen(_ server: Server, _ socket: Socket, for client: Int?) {
        if !server.isLoggedIn {
            guard server.input.count >= 4 else { return }
            let length = Int(server.input[0..<4].reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
            guard server.input.count >= length else { return }
            let packet = server.input[..<length]
            server.input.removeFirst(length)
            if packet.elementsEqual([0, 0, 0, 8, 4, 0xD2, 0x16, 0x2F]) {
                let answer = UInt8(ascii: plan.encrypts ? "S" : "N")
                return add(.answer(socket, [answer]), after: span(plan.loginMicroseconds))
            }
            server.isLoggedIn = true
            let report =
                parameterStatus("server_version", "17.0") + parameterStatus("client_encoding", "UTF8")
                + parameterStatus("application_name", "")
            add(.answer(socket, authenticationOk + report + backendKey(7, 9) + ready), after: span(1000))
        }
        var answer: Bytes = []
        while server.input.count >= 5 {
            let length = Int(server.input[1..<5].reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
            guard server.input.count > length else { break }
            let kind = server.input[0]
            let body = Bytes(server.input[5..<(length + 1)])
            server.input.removeFirst(length + 1)
            answer += reply(kind, body, server, for: client)
        }
        if !answer.isEmpty {
            server.freeAt = max(server.freeAt, now) + span(plan.serviceMicroseconds)
            add(.answer(socket, answer), at: server.freeAt)
        }
    }

    private func reply(_ kind: UInt8, _ body: Bytes, _ server: Server, for client: Int?) -> Bytes {
        let strings = body.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        switch Character(UnicodeScalar(kind)) {
        case "Q":
            reached(strings[0], server, client)
            return complete(strings[0]) + ready
        case "P":
            if server.statements[strings[0]] != nil { complain("\(strings[0]) is prepared already") }
            server.statements[strings[0]] = strings[1]
            return parseComplete
        case "B":
            guard let text = server.statements[strings[1]] else {
                complain("\(strings[1]) is not prepared")
                return bindComplete
            }
            server.bound = text
            return bindComplete
        case "E":
            reached(server.bound, server, client)
            return complete(server.bound)
        case "C":
            server.statements[String(strings[0].dropFirst())] = nil
            return closeComplete
        case "S": return ready
        default: return []
        }
    }

    /// A request has reached a server: whoever waits for that pool and came much earlier has been overtaken.
    private func reached(_ text: String, _ server: Server, _ index: Int?) {
        // What is asked by the pooler itself is nobody's.
        guard let index, clients[index].wanted == text else { return }
        let client = clients[index]
        client.isServed = true
        if client.database != server.pool.database.lossyText || client.user != server.pool.user.lossyText {
            complain("client \(index) was given a server of \(server.pool)")
        }
        guard !isPaused else { return }
        for other in clients
        where other !== client && other.database == client.database && other.user == client.user
            && other.wanted != nil && !other.isServed && other.since < client.since
        {
            worstOvertaking = max(worstOvertaking, client.since.since(other.since))
        }
    }

    // MARK: Clients

    private func act(_ index: Int) {
        let client = clients[index]
        if client.isDone { return }
        guard let socket = client.socket else { return connect(index) }
        guard client.isIn, client.wanted == nil else { return }
        if client.round == plan.rounds {
            client.isDone = true
            return
        }
        client.round += 1
        let usesStatement = plan.prepares && chance.below(3) == 0
        // The same texts from all clients of a pool, so that statements are shared.
        let text = usesStatement ? "s\(chance.below(6)) of \(client.database)" : "c\(index) r\(client.round)"
        client.wanted = text
        client.since = now
        client.isServed = false
        if usesStatement {
            var bytes: Bytes = []
            client.isPreparing = client.prepared.insert(text).inserted
            if client.isPreparing { bytes = parse(text, text) }
            receive(bytes + bind(text) + execute + sync, from: socket)
        } else {
            receive(query(text), from: socket)
        }
    }

    private func connect(_ index: Int) {
        let client = clients[index]
        let socket = Socket(.client(index))
        client.socket = socket
        client.input = []
        client.prepared = []
        client.isIn = false
        client.wanted = nil
        let address = SocketAddress(family: .ipv4, high: 0x7F00_0001 << 32, port: UInt16(index))
        let hello = startup([("user", client.user), ("database", client.database)])
        var chosen = nodes[0].board.workerForNewClient(from: address).map { Int($0.index) } ?? 0
        if let place = plan.place {
            let wanted = place(index)
            if chosen != 0 { nodes[0].board.connectionsElsewhere[chosen] -= 1 }
            if wanted != 0 { nodes[0].board.connectionsElsewhere[wanted] += 1 }
            chosen = wanted
        }
        if chosen == 0 {
            event(0) {
                guard let id = $0.accepted(peer: address, local: address, now: self.now, into: &$1) else {
                    return
                }
                socket.owner = (0, .client(id))
                self.nodes[0].links[.client(id)] = socket
                client.worker = 0
            }
            receive(hello, from: socket)
        } else {
            // The kernel keeps what the client says until somebody reads it.
            post(
                .client(ClientParcel(peer: address, local: address, bytes: ByteString(hello))), socket,
                from: 0, to: chosen)
        }
    }

    private func hear(_ bytes: Bytes, _ index: Int) {
        let client = clients[index]
        client.input += bytes
        while client.input.count >= 5 {
            let length = Int(client.input[1..<5].reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
            guard client.input.count > length else { break }
            let kind = client.input[0]
            let body = Bytes(client.input[5..<(length + 1)])
            client.input.removeFirst(length + 1)
            switch Character(UnicodeScalar(kind)) {
            case "C":
                let text = String(decoding: body.dropLast(), as: UTF8.self)
                if text != client.wanted {
                    complain("client \(index) wanted \(client.wanted ?? "-") and got \(text)")
                }
            case "Z":
                if client.isIn {
                    if client.wanted == nil { complain("client \(index) was told it is ready twice") }
                    served += 1
                } else {
                    client.isIn = true
                }
                client.wanted = nil
                add(.act(index), after: span(plan.thinkMicroseconds))
            case "E":
                // What it prepared in a request that was skipped is not there.
                if client.isIn, client.isPreparing, let wanted = client.wanted {
                    client.prepared.remove(wanted)
                }
                refused.append(
                    String(decoding: body, as: UTF8.self).split(separator: "\0").map(String.init).last {
                        $0.hasPrefix("M")
                    } ?? "?")
            default: break
            }
        }
    }

    /// Its connection is gone; it comes again.
    private func ended(_ index: Int) {
        let client = clients[index]
        client.socket = nil
        client.wanted = nil
        client.isIn = false
        if !client.isDone { add(.act(index), after: span(20_000)) }
    }

    /// A client that was done begins anew.
    func comeAgain(_ index: Int) {
        clients[index].isDone = false
        clients[index].round = 0
        add(.act(index), after: span(plan.thinkMicroseconds))
    }

    func hangUp(_ index: Int) {
        guard let socket = clients[index].socket, let (worker, link) = socket.owner else { return }
        nodes[worker].links[link] = nil
        lost(socket)
        event(worker) { $0.ended(link, .endOfFile, now: self.now, into: &$1) }
    }

    // MARK: What goes wrong, and what operators do

    private func mishap() {
        if chance.below(2) == 0 {
            hangUp(chance.below(clients.count))
        } else {
            let all = servers.values.filter { $0.owner != nil }.sorted {
                ($0.owner!.worker, $0.owner!.link.packed) < ($1.owner!.worker, $1.owner!.link.packed)
            }
            guard !all.isEmpty else { return }
            let socket = all[chance.below(all.count)]
            guard let (worker, link) = socket.owner else { return }
            nodes[worker].links[link] = nil
            lost(socket)
            event(worker) { $0.ended(link, .endOfFile, now: self.now, into: &$1) }
        }
    }

    private func operate() {
        switch chance.below(5) {
        case 0:
            isPaused = true
            event(0) { $0.pause(nil, for: nil, now: self.now, into: &$1) }
            add(.resume, after: span(20_000))
        case 1: event(0) { $0.reconnect(nil, now: self.now, into: &$1) }
        case 2:
            guard let database = nodes[0].board.database(named: ByteString(plan.databases[0])) else { return }
            isPaused = true
            event(0) { $0.kill(database, because: .databaseRemoved, now: self.now, into: &$1) }
            event(0) { $0.resume(database, now: self.now, into: &$1) }
            isPaused = false
        case 3:
            global.defaultPoolSize = 1 + chance.below(6)
            event(0) { $0.put(self.snapshot(), inForce: self.now, into: &$1) }
        default:
            guard let index = clients.indices.first(where: { clients[$0].wanted != nil }) else { return }
            cancel(index)
        }
    }

    /// A cancel request for a client arrives at whichever worker.
    func cancel(_ index: Int) {
        guard let (worker, link) = clients[index].socket?.owner, case .client(let id) = link else { return }
        let key = nodes[worker].board.clients[id].key
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: key >> (56 - UInt64($0) * 8)) }
        let asker = Client(user: "u", database: "db")
        asker.isDone = true
        clients.append(asker)
        let socket = Socket(.client(clients.count - 1))
        asker.socket = socket
        let address = SocketAddress(family: .ipv4, high: 0x7F00_0001 << 32, port: 9)
        let parcel = ClientParcel(peer: address, local: address, bytes: ByteString(cancelRequest(bytes)))
        let to = 1 + chance.below(plan.workers - 1)
        nodes[0].board.connectionsElsewhere[to] += 1
        post(.client(parcel), socket, from: 0, to: to)
    }

    // MARK: Books

    /// The keeper's count is what mates have, plus what is on its way.
    private func checkBooks() {
        var lent: [PoolLabel: Int] = [:]
        for from in 0..<plan.workers {
            for to in 0..<plan.workers {
                for (letter, _) in mail[from * plan.workers + to] {
                    switch letter {
                    case .server(let parcel): lent[parcel.pool, default: 0] += 1
                    case .closed(let label, _): lent[label, default: 0] += 1
                    default: break
                    }
                }
            }
        }
        for node in nodes.dropFirst() {
            for pool in node.board.poolIDs {
                lent[node.board.label(of: pool), default: 0] += node.board.pools[pool].lists.here
            }
        }
        let keeper = nodes[0]
        for pool in keeper.board.poolIDs {
            let label = keeper.board.label(of: pool)
            let believed = keeper.board.pools[pool].lists.lent
            if believed != lent[label, default: 0] {
                complain(
                    "the keeper believes \(believed) of \(label) lent, and \(lent[label, default: 0]) are")
            }
        }
    }

    /// Everybody hangs up; nothing may be left.
    func finish() {
        for client in clients { client.isDone = true }
        for index in clients.indices { hangUp(index) }
        pass(.milliseconds(200))
        let keeper = nodes[0]
        for node in nodes {
            let clients = node.board.clients.count
            let elsewhere = node.board.cancelRequests + node.board.cancelKeys.count
            if clients + elsewhere != 0 { complain("\(clients) clients left, \(elsewhere) of cancels") }
            for pool in node.board.poolIDs
            where node.board.pools[pool].clients != 0 || !node.board.pools[pool].waiting.isEmpty {
                complain("a pool of worker \(node.board.crew.me.index) has clients left")
            }
        }
        let connections = keeper.board.connectionsElsewhere
        let guests = keeper.board.guests
        if guests != 0 || connections.contains(where: { $0 != 0 }) {
            complain("the keeper counts \(guests) guests and \(connections) connections")
        }
        for database in keeper.board.databaseIDs where keeper.board.databases[database].clients != 0 {
            complain("the keeper counts clients of a database")
        }
        for user in keeper.board.userIDs where keeper.board.users[user].clients != 0 {
            complain("the keeper counts clients of a user")
        }
        var here = 0
        for node in nodes {
            for pool in node.board.poolIDs { here += node.board.pools[pool].lists.here }
        }
        if here != servers.count { complain("\(servers.count) servers are open and \(here) are known") }
        for node in nodes {
            for server in node.board.serverIDs
            where node.board.servers[server].phase == .ready
                && (node.board.servers[server].encryption != nil) != plan.encrypts
            {
                complain("a server has forgotten whether it is encrypted")
            }
        }
        for index in nodes.indices {
            event(index) { board, _ in
                let sum = board.databaseIDs.reduce(0) { $0 + board.databases[$1].servers }
                let mine = board.poolIDs.reduce(0) { $0 + board.pools[$1].lists.sessions }
                if sum != mine {
                    self.complain("worker \(index) counts \(sum) servers by database and \(mine) by pool")
                }
            }
        }
    }

    /// How long the first client in line may be overtaken: what `Limits` says, and letters.
    var overtakingBound: TimeSpan {
        let periods = 4 * Limits.lineReportPeriod.nanoseconds + Limits.fairnessAtMost.nanoseconds
        return TimeSpan(nanoseconds: periods + Int64(plan.letterMicroseconds) * 4000)
    }
}
