import Config
import Engine
import Pool
import Primitives
import Session

/// The oracles that look at more than one client's answers.
extension World {
    // MARK: O3 release, O4 cancel, O5 exactly once

    /// Bytes are being put on a server's cable.
    func checkPut(_ view: ByteView, on server: SimulatedServer, _ cable: Cable, from source: Cable?) {
        if server.phase == .startup, view.count >= 16, view.uint32(at: 4) == 80_877_102 {
            return noteCancelPacket(view, by: server)
        }
        if server.cancelsUnderWay > 0, view[0] != 0x58 {
            found("O4 bytes for server \(server.number) while a cancel request for it is under way")
        }
        // What the pooler writes while it reads a client's bytes is for that client, save its own queries.
        let isForClient = view[0] != 0x51 && view[0] != 0x58 || view.slice(5).hasPrefix("DEALLOCATE ")
        let isOwn = source == nil && !isForClient
        guard !isOwn, case .client(let client)? = (source ?? beingRead)?.far else {
            if isOwn, view[0] == 0x51 { checkOwnQuery(view, on: server, cable) }
            return
        }
        if server.owner !== client {
            if server.owner != nil || !server.isBeingPrepared {
                checkHandOver(server, cable, to: "client \(client.number)")
            }
            let user = client.script.database == "three" ? "carl" : client.script.user
            if server.user != user || server.database != client.script.database {
                found("O6 client \(client.number) got a server of \(server.user) in \(server.database)")
            }
            server.owner = client
        }
    }

    /// A query of the pooler's own: the server must be nobody's.
    private func checkOwnQuery(_ view: ByteView, on server: SimulatedServer, _ cable: Cable) {
        let sql = view.slice(5)
        server.isBeingPrepared = sql.hasPrefix("SET ") || sql.hasPrefix("SELECT pg_catalog.set_config")
        checkHandOver(server, cable, to: "the pooler")
        server.owner = nil
        // With the first request of the client that is being read the server is its own at once.
        guard server.isBeingPrepared, case .client(let client)? = beingRead?.far, serves(server, client)
        else {
            return
        }
        server.owner = client
    }

    private func checkHandOver(_ server: SimulatedServer, _ cable: Cable, to next: String) {
        wasHandedOver = wasHandedOver || cable === beingRead
        let handOver = HandOver(
            server: server, cable: cable, isBeingRead: cable === beingRead,
            isForClient: server.isBeingPrepared || next != "the pooler", mode: scenario.mode)
        guard let wrong = handOver.check() else { return }
        let last = server.owner.map { "client \($0.number)" } ?? "the pooler"
        found("O3 server \(server.number) went from \(last) to \(next) " + wrong)
    }

    private func noteCancelPacket(_ view: ByteView, by carrier: SimulatedServer) {
        let processID = view.uint32(at: 8)
        guard let victim = servers.first(where: { $0.processID == processID }),
            victim.secret.elementsEqual(view.slice(12).rawBuffer)
        else { return found("O4 a cancel request with a key that no server has") }
        carrier.victim = victim
        if victim.cable?.isOpen == true { victim.cancelsUnderWay += 1 }
        say("  cancel request for server \(victim.number)")
    }

    /// The engine has been told of, or has made, the end of a link.
    func noteClosed(_ cable: Cable) {
        switch cable.far {
        case .server(let carrier):
            carrier.victim?.cancelsUnderWay -= 1
            if !cable.farIsGone { carrier.victim = nil }
            if cable.link.isClient { return }
        case .asker(let asker):
            let owner = asker.target.number
            if asker.server == nil, hasOpened, cable === beingRead, asker.waits {
                found("O4 whoever cancelled client \(owner) was told when the cancel was being sent")
            }
            guard let server = asker.server, server.cancelsUnderWay > 0, serves(server, asker.target) else {
                return
            }
            if asker.isRight, asker.waits, scenario["cancel_wait_timeout"] == 0, cable.isClosing {
                found("O4 whoever cancelled client \(owner) was told before the cancel had arrived")
            }
        case .client: break
        }
    }

    /// Whether the engine has given this server to this client.
    func serves(_ server: SimulatedServer, _ client: SimulatedClient) -> Bool {
        guard let user = server.client, let cable = client.cable else { return false }
        return cable.board === user.board && cable.link == .client(user.id)
    }

    func noteEnded(_ cable: Cable) {
        guard case .server(let carrier) = cable.far else { return }
        carrier.victim?.cancelsUnderWay -= 1
    }

    /// A cancel request reaches a server that runs something.
    func checkCancel(of victim: SimulatedServer) {
        guard let token = victim.backend.runningToken, let owner = Ownership.owner(in: token) else { return }
        // Who has gone and come again is somebody else.
        let last = victim.owner?.number == owner ? victim.owner : nil
        guard let client = last ?? clients.first(where: { $0.number == owner }) else { return }
        if client.cancelsAsked == 0 { found("O4 a statement of client \(owner) was cancelled, nobody asked") }
    }

    func noteStarted(_ server: SimulatedServer) {
        for token in server.backend.started where token.contains(0x7E) {
            if !startedTokens.insert(token).inserted { found("O5 \(token.text) ran twice") }
            if let owner = Ownership.owner(in: token), owner != server.owner?.number {
                found(
                    "O1 server \(server.number) of client \(server.owner?.number ?? -1) ran \(token.text)")
            }
        }
        server.backend.started.removeAll(keepingCapacity: true)
    }

    // MARK: O10 order

    func noteLine(_ cable: Cable) {
        guard case .client(let id) = cable.link, case .client(let client) = cable.far,
            cable.board.engine.clients.contains(id),
            cable.board.engine.clients[id].phase == .waiting
        else { return }
        lineNumbers += 1
        client.lineNumber = lineNumbers
        client.lineAt = clock
    }

    /// Has the client been given a server just now?
    func noteGrant(_ cable: Cable) {
        guard case .client(let id) = cable.link, !cable.isTravelling, case .client(let client) = cable.far,
            cable.board.engine.clients.contains(id),
            let server = cable.board.engine.clients[id].server
        else { return }
        let grant = LinkID.server(server).packed &* 31 &+ cable.board.engine.servers[server].epoch
        guard client.lastGrant != grant else { return }
        client.lastGrant = grant
        checkOrder(client, cable, id)
        client.lineNumber = 0
    }

    private func checkOrder(_ client: SimulatedClient, _ mine: Cable, _ id: ClientID) {
        let board = mine.board
        for other in clients where other !== client && other.lineNumber > 0 {
            guard client.lineNumber == 0 || other.lineNumber < client.lineNumber, let waiting = inLine(other)
            else { continue }
            if waiting.board !== board {
                checkOvertaking(client, other)
            } else if board.engine.clients[waiting.id].pool == board.engine.clients[id].pool {
                found("O10 client \(client.number) was served before client \(other.number), who came first")
            }
        }
    }

    // MARK: O7 accounting, O8 bounds, O11 log

    func checkAfterEvent(on board: Board) {
        guard verdict.events & 15 == 0 else { return }
        let engine = board.engine.servers.count
        let links = board.serverLinks + board.unopened.count
        if engine != links { found("O7 \(engine) servers, but \(links) connections to them") }
        if board.engine.clients.count != board.clientLinks {
            found("O7 \(board.engine.clients.count) clients, but \(board.clientLinks) connections of them")
        }
        let limit = knobs.sessionsLimit
        board.engine.forEachPool { pool in
            if board.engine.pools[pool].lists.sessions > limit, pool != board.engine.consolePool {
                found("O7 \(board.engine.pools[pool].lists.sessions) servers in a pool of \(limit)")
            }
        }
        if verdict.events & 63 == 0 {
            checkGuests()
            checkIdleServers()
            if boards.count > 1 { checkBooks() }
        }
    }

    /// A session with PostgreSQL is being opened (or is gone): the limits hold as PostgreSQL sees them, at
    /// every instant.
    func countServer(of pool: PoolLabel?, _ change: Int) {
        guard let pool else { return }
        sessions[pool, default: 0] += change
        guard change > 0 else { return }
        let count = sessions[pool] ?? 0
        if count > knobs.sessionsLimit { found("O7 \(count) servers in a pool of \(knobs.sessionsLimit)") }
        if knobs.databaseLimit > 0 {
            let sum = sessions.reduce(0) { $0 + ($1.key.database == pool.database ? $1.value : 0) }
            if sum > knobs.databaseLimit {
                found("O7 \(sum) servers in a database of \(knobs.databaseLimit)")
            }
        }
        if knobs.userLimit > 0 {
            let sum = sessions.reduce(0) { $0 + ($1.key.user == pool.user ? $1.value : 0) }
            if sum > knobs.userLimit { found("O7 \(sum) servers of a user of \(knobs.userLimit)") }
        }
    }

    /// Somebody is told that there is no room (`max_client_conn`): cancel requests and consoles take none.
    /// Who has not said yet what it is may be anything.
    func checkTurnedAway(_ view: ByteView) {
        if view.lossyText.contains("(max_client_conn)") { checkRoom() }
    }

    func checkRoom(isAskerThere: Bool = true) {
        var count = guestsInLetters + (isAskerThere ? 0 : 1)
        for client in clients + formerClients where client.cable?.isOpen == true {
            count += client.isAdmin && client.phase != .loggingIn ? 0 : 1
        }
        for (_, cable) in askers where cable.isOpen {
            count += cable.wasOffered && cable.inFlight.isEmpty ? 0 : 1
        }
        if count <= knobs.clientsLimit {
            found("O7 no room for a client, but only \(count) of \(knobs.clientsLimit) are there")
        }
    }

    private func checkGuests() {
        guard knobs.clientsLimit > 0 else { return }
        let count = clients.count {
            $0.cable?.isOpen == true && !$0.isAdmin && [.running, .awaiting, .resting].contains($0.phase)
        }
        if count > knobs.clientsLimit { found("O7 \(count) clients are in, of \(knobs.clientsLimit)") }
    }

    func checkKept(_ cable: Cable) {
        if cable.isOpen, !cable.isPaused, cable.arrived.count > 1024 * 1024 {
            found("O8 \(cable.arrived.count) bytes of \(cable.link.shown) lie about unread")
        }
    }

    func checkLog(_ level: LogLevel, _ text: ByteView) {
        say("  log \(level) \(text.lossyText)")
        for byte in text.rawBuffer where byte < 0x20 || byte == 0x7F {
            return found("O11 byte \(byte) in the log: \(text.lossyText)")
        }
    }

    // MARK: O9 liveness

    /// For the trace: what the engine believes at the end.
    private func sayWhoHasWhat() {
        guard trace != nil else { return }
        for server in servers {
            guard let (board, id) = server.seat else { continue }
            let client = board.engine.servers[id].client.map { LinkID.client($0).shown } ?? "nobody"
            let state = board.engine.serverState(id).map { "\($0)" } ?? "none"
            say(
                "server \(server.number) \(LinkID.server(id).shown) of worker \(board.worker.index) "
                    + "\(state), of \(client), owes \(board.engine.servers[id].replies.count), "
                    + "cancels \(board.engine.servers[id].cancels), "
                    + "poison \(board.engine.servers[id].poison.map { "\($0)" } ?? "no"), holds "
                    + "\(board.engine.servers[id].holds.rawValue)")
        }
        for client in clients {
            guard let cable = client.cable, cable.isOpen, !cable.isTravelling,
                case .client(let id) = cable.link
            else { continue }
            let phase = cable.board.engine.clients[id].phase
            say(
                "client \(client.number) \(cable.link.shown) of worker \(cable.board.worker.index) "
                    + "\(phase), holds \(cable.board.engine.clients[id].holds.rawValue), rest "
                    + "\(cable.board.engine.clients[id].restBytes), unread \(cable.arrived.count), "
                    + "\(client.phase)")
        }
    }

    func checkLiveness() {
        if isEnding {
            sayWhoHasWhat()
            return found("O9 told to end when the servers are free, the process goes on for ever")
        }
        for client in clients where client.phase != .ended && !client.isHarmed && !client.isHopeless {
            let isAtEnd = client.isThrough && client.phase == .running
            if client.hasTerminated {
                found("O9 client \(client.number) said Terminate and still is connected")
            }
            if !isAtEnd || !client.isSettled, client.isOwed {
                sayWhoHasWhat()
                return found(
                    "O9 client \(client.number) waits for ever: \(client.phase), step \(client.place) of "
                        + "\(client.script.steps.count), ideal needs \(client.ideal.need)")
            }
        }
        for board in boards {
            board.engine.forEachPool { pool in
                if !board.engine.pools[pool].waiting.isEmpty { found("O9 somebody is in line for ever") }
            }
        }
        if boards.count > 1 { checkCounts() }
        guard scenario.mode != .session else { return }
        for client in clients {
            guard let cable = client.cable, cable.isOpen, !cable.isTravelling,
                case .client(let id) = cable.link
            else { continue }
            let isPinned = cable.board.engine.clients[id].unnamed.isPinned
            if cable.board.engine.clients[id].server != nil, client.ideal.status == 0x49,
                client.ideal.copy == nil, client.ideal.input.isEmpty, !client.ideal.hasOpenBatch,
                !client.ideal.skips, !client.isHarmed, !client.isAdmin, !isPinned
            {
                sayWhoHasWhat()
                found("O9 idle client \(client.number) keeps its server")
            }
        }
    }
}
