import Engine
import Pool
import Primitives
import Session

/// The oracles that look at several switchboards: order and idle servers over all of them, and the keeper's
/// books.
extension World {
    /// How long it may take, in microseconds, until what is so on one worker has been acted upon on another:
    /// what `Limits` says, the time letters take, and timers that are late.
    private var knowledgeDelay: UInt64 {
        if boards.count == 1 { return 100_000 }
        return UInt64(Limits.longestOvertaking.nanoseconds) / 1000 + 4 * UInt64(knobs.longestLetter)
            + 4 * UInt64(knobs.lateTimers)
    }

    /// Where a client stands in line, if it does.
    func inLine(_ client: SimulatedClient) -> (board: Board, id: ClientID)? {
        guard client.lineNumber > 0, let cable = client.cable, cable.isOpen, !cable.isTravelling,
            case .client(let id) = cable.link, cable.board.engine.clients.contains(id),
            cable.board.engine.clients[id].phase == .waiting
        else { return nil }
        return (cable.board, id)
    }

    /// O10: a client has been given a server while another, who came earlier, waits at another worker.
    func checkOvertaking(_ client: SimulatedClient, _ other: SimulatedClient) {
        guard client.poolLabel == other.poolLabel else { return }
        let came = client.lineNumber > 0 ? client.lineAt : clock
        let before = max(other.lineAt, disturbedAt)
        // Those who wait still longer go first, and one server leaves a worker in a period.
        let older = clients.count { $0 !== other && $0.lineNumber > 0 && $0.lineAt <= other.lineAt }
        let journey = UInt64(2000 + 2 * knobs.longestLetter + knobs.lateTimers)
        guard came > before + knowledgeDelay + UInt64(older) * journey, let board = other.cable?.board else {
            return
        }
        // Who has been sent a server that is still on its way is as good as served.
        let ahead = clients.count {
            $0.poolLabel == other.poolLabel && $0.lineNumber > 0 && $0.lineNumber <= other.lineNumber
                && $0.cable?.board === board
        }
        if serversOnTheirWay(to: board, of: other.poolLabel) >= ahead { return }
        found(
            "O10 client \(client.number) was served before client \(other.number) of another worker, who "
                + "came \(came - before) us earlier")
    }

    /// Those to the keeper may be for anybody.
    private func serversOnTheirWay(to board: Board, of label: PoolLabel) -> Int {
        var count = 0
        for (place, route) in mail.enumerated() {
            let receiver = boards[place % boards.count]
            guard receiver === board || receiver === keeper else { continue }
            for envelope in route.envelopes {
                if case .server(let parcel) = envelope.letter, parcel.pool == label { count += 1 }
            }
        }
        return count
    }

    /// O9: somebody waits although a server of the pool is idle, here or elsewhere, for longer than it takes
    /// to know.
    func checkIdleServers() {
        for client in clients where client.lineNumber > 0 {
            guard let (here, _) = inLine(client) else { continue }
            let patience = knowledgeDelay * 2
            let since = max(client.lineAt, disturbedAt)
            guard clock > since + patience, !isPromisedCheckedServer(client, on: here) else { continue }
            for board in boards {
                guard let server = idleServer(of: client.poolLabel, on: board, longerThan: patience) else {
                    continue
                }
                found(
                    "O9 client \(client.number) of worker \(here.worker.index) waits for "
                        + "\(clock - since) us, and server \(server.handle.slot) of worker "
                        + "\(board.worker.index) is idle")
            }
        }
    }

    /// A server is being checked for each in line before this client, and one for it: however long PostgreSQL
    /// takes for its answer, that is what the client waits for.
    private func isPromisedCheckedServer(_ client: SimulatedClient, on board: Board) -> Bool {
        let label = client.poolLabel
        let before = clients.count {
            $0.poolLabel == label && $0.lineNumber > 0 && $0.lineNumber < client.lineNumber
                && inLine($0)?.board === board
        }
        let checked = servers.count {
            guard let seat = $0.seat, seat.board === board else { return false }
            return board.engine.servers[seat.id].errand == .check
                && self.label(of: board.engine.servers[seat.id].pool, on: board) == label
        }
        return before < checked
    }

    private func idleServer(of label: PoolLabel, on board: Board, longerThan span: UInt64) -> ServerID? {
        guard board.engine.mode == .active, let pool = pool(label, on: board),
            !board.engine.databases[board.engine.pools[pool].database].isPaused
        else { return nil }
        for server in servers {
            guard let seat = server.seat, seat.board === board, let cable = server.cable,
                board.engine.servers[seat.id].pool == pool, board.engine.serverState(seat.id) == .idle
            else { continue }
            let restingSince = board.engine.servers[seat.id].restingSince.nanoseconds / 1000
            let began = Int64(World.start.nanoseconds / 1000)
            let since = max(Int64(restingSince) - began, Int64(cable.adoptedAt))
            if Int64(clock) > since + Int64(span) { return seat.id }
        }
        return nil
    }

    private func pool(_ label: PoolLabel, on board: Board) -> PoolID? {
        var found: PoolID?
        board.engine.forEachPool { pool in
            if self.label(of: pool, on: board) == label { found = pool }
        }
        return found
    }

    func label(of pool: PoolID, on board: Board) -> PoolLabel {
        let record = board.engine.pools[pool].database
        let user = board.engine.pools[pool].user
        return PoolLabel(
            database: board.engine.databases[record].name, user: board.engine.users[user].name)
    }

    // MARK: The keeper's books

    /// What the keeper has lent is what the others have, and what is on its way.
    func checkBooks() {
        var lent: [PoolLabel: Int] = [:]
        for route in mail {
            for envelope in route.envelopes {
                switch envelope.letter {
                case .server(let parcel): lent[parcel.pool, default: 0] += 1
                case .closed(let label, _): lent[label, default: 0] += 1
                default: break
                }
            }
        }
        for board in boards.dropFirst() {
            board.engine.forEachPool { pool in
                let here = board.engine.pools[pool].lists.here
                if here > 0 { lent[label(of: pool, on: board), default: 0] += here }
            }
        }
        keeper.engine.forEachPool { pool in
            let believed = keeper.engine.pools[pool].lists.lent
            let there = lent[label(of: pool, on: keeper), default: 0]
            if believed != there {
                found("O7 the keeper believes that \(believed) servers are lent, and \(there) are")
            }
        }
    }

    /// When all letters have arrived, the keeper's counts of clients are those of all workers.
    func checkCounts() {
        let isAllDelivered = mail.allSatisfy { $0.envelopes.allSatisfy(\.letter.comesByTheClock) }
        guard isAllDelivered else { return found("O9 letters are on their way for ever") }
        var counts: [ByteString: Int] = [:]
        for board in boards {
            for database in board.engine.databaseIDs where board !== keeper {
                counts[board.engine.databases[database].name, default: 0] +=
                    board.engine.databases[database].clients
            }
        }
        for client in clients {
            guard let cable = client.cable, cable.isOpen, cable.board === keeper, !cable.isTravelling,
                case .client(let id) = cable.link, let database = keeper.engine.clients[id].database,
                keeper.engine.clients[id].pool != nil
            else { continue }
            counts[keeper.engine.databases[database].name, default: 0] += 1
        }
        for database in keeper.engine.databaseIDs {
            let believed = keeper.engine.databases[database].clients
            let there = counts[keeper.engine.databases[database].name, default: 0]
            if believed != there, keeper.engine.databases[database].name != "pgbouncer" {
                found("O7 the keeper counts \(believed) clients of a database, and \(there) are there")
            }
        }
    }

    /// Clients that may count as one of `max_client_conn` although nobody sees them: what is on its way.
    var guestsInLetters: Int {
        var count = 0
        for route in mail {
            for envelope in route.envelopes {
                switch envelope.letter {
                case .left(let departure): count += departure.isGuest ? 1 : 0
                case .mayStay(_, _, let refusal): count += refusal == nil ? 1 : 0
                default: break
                }
            }
        }
        return count
    }

    /// O7: the process ends. Told to wait for its servers, it has none left.
    func checkExit(of board: Board) {
        if board !== keeper { found("O7 worker \(board.worker.index) ends the process") }
        let count = sessions.reduce(0) { $0 + $1.value }
        if isEnding, !isToldTwice, count > 0 { found("O7 the process ends with \(count) servers") }
    }

    /// O3: a server has left for another worker: it must be as free as for another client.
    func checkSentAway(_ server: SimulatedServer, _ cable: Cable) {
        let handOver = HandOver(
            server: server, cable: cable, isBeingRead: cable === beingRead, isForClient: true,
            mode: scenario.mode)
        if let wrong = handOver.check() { found("O3 server \(server.number) was sent away " + wrong) }
    }
}

extension SimulatedClient {
    /// The pool it uses, by names.
    var poolLabel: PoolLabel {
        PoolLabel(
            database: ByteString(script.database),
            user: ByteString(script.database == "three" ? "carl" : script.user))
    }
}
