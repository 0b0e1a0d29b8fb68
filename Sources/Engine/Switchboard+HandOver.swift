import Auth
import Config
import Pool
public import Primitives
import Session
import Wire

/// SHOW FDS: everything another process needs to go on with the sessions of this one. What is told stays ours
/// until the other process says SHUTDOWN; when it goes away instead, all goes on here.
extension Switchboard {
    /// In PgBouncer's order: clients without a pool, then pool by pool active and waiting clients, active and
    /// idle servers. `withState`: for one of us, else for whoever knows PgBouncer's columns only.
    public func heirlooms(withState: Bool) -> [Heirloom] {
        var all = withState ? statementHeirlooms() + poolHeirlooms() : []
        let clientIDs = clientIDs.filter { mayLeave($0, withState: withState) }
        let serverIDs = serverIDs.filter { mayLeave($0, withState: withState) }
        for client in clientIDs where clients[client].pool == nil {
            all.append(heirloom(client, withState: withState))
        }
        for pool in poolIDs where pool != consolePool {
            let members = clientIDs.filter { clients[$0].pool == pool }
            let line = members.filter { clients[$0].phase == .waiting }.sorted {
                clients[$0].waitingSince < clients[$1].waitingSince
            }
            for client in members where clients[client].phase != .waiting {
                all.append(heirloom(client, withState: withState))
            }
            for client in line { all.append(heirloom(client, withState: withState)) }
            let servants = serverIDs.filter { servers[$0].pool == pool }
            for state in [ServerState.active, .idle] {
                for server in servants where roster.state(server) == state {
                    all.append(heirloom(server, withState: withState))
                }
            }
        }
        return all
    }

    /// This console client may have the sockets with the rows: it is us, on the same machine.
    public func mayHaveSockets(_ client: ClientID) -> Bool {
        clients.contains(client) && clients[client].phase == .console
            && clients[client].consoleRights == .admin && clients[client].peer.family == .unix
            && clients[client].peer.userID == process.userID
    }

    /// What does not go with the others is told before the end.
    mutating func partWithThoseLeftBehind(now: Instant, into actions: inout ActionList) {
        guard let withState = handsOverWithState, mode == .suspended else { return }
        for client in clientIDs
        where clients.contains(client) && clients[client].phase != .console
            && !mayLeave(client, withState: withState)
        {
            refuse(client, .serverShutdown, now: now, into: &actions)
        }
    }

    // MARK: Who may go

    private func mayLeave(_ client: ClientID, withState: Bool) -> Bool {
        guard clients[client].encryption == nil, !clients[client].isCongested else { return false }
        switch clients[client].phase {
        case .startup: return withState && clients[client].login == nil
        case .idle, .waiting, .skipping: return withState || fitsColumns(client)
        case .active(let server): return mayLeave(server, withState: withState)
        case .authenticating, .awaitingWelcome, .replicating, .console, .cancelRequest: return false
        }
    }

    private func mayLeave(_ server: ServerID, withState: Bool) -> Bool {
        guard servers[server].phase == .ready, servers[server].encryption == nil,
            !servers[server].isCongested, servers[server].errand == .none
        else { return false }
        if let client = servers[server].client {
            guard roster.state(server) == .active, clients[client].encryption == nil,
                !clients[client].isCongested
            else { return false }
            return withState || fitsColumns(client) && fitsColumns(server)
        }
        return roster.state(server) == .idle && servers[server].isFree && servers[server].poison == nil
            && servers[server].retirement == nil && (withState || fitsColumns(server))
    }

    /// Nothing about it goes beyond what PgBouncer has columns for; while nobody is suspended the rows are
    /// for reading only.
    private func fitsColumns(_ client: ClientID) -> Bool {
        mode != .suspended || !clients[client].isInMessage && clients[client].phase != .skipping
    }

    private func fitsColumns(_ server: ServerID) -> Bool {
        if mode != .suspended { return true }
        let ledger = servers[server].replies.standing
        return servers[server].restBytes == 0 && servers[server].unreadBytes == 0
            && servers[server].statements.count == 0 && ledger.copyIn == .none
            && ledger.entries.allSatisfy { $0.disposition == .forward }
    }

    // MARK: Rows

    private func heirloom(_ client: ClientID, withState: Bool) -> Heirloom {
        var row = Heirloom(.client)
        row.link = .client(client)
        row.user = clients[client].user.map { users[$0].name }
        row.database = clients[client].database.map { databases[$0].name }
        row.address = clients[client].peer
        row.key = clients[client].key
        row.partner = clients[client].server.map { .server($0) }
        row.isPaired = row.partner != nil
        describe(clients[client].parameters, in: &row)
        if let pool = clients[client].pool, let user = clients[client].user, pools[pool].user == user {
            describeSecrets(of: pool, in: &row)
        }
        if withState { row.state = state(of: client) }
        return row
    }

    private func heirloom(_ server: ServerID, withState: Bool) -> Heirloom {
        let pool = servers[server].pool
        var row = Heirloom(.server)
        row.link = .server(server)
        row.user = users[pools[pool].user].name
        row.database = databases[pools[pool].database].name
        row.address = servers[server].remote ?? SocketAddress(family: .unix)
        if row.address.family == .unix { row.address.port = servers[server].endpoint.port }
        row.key = servers[server].secret.bytes.prefix(4).reduce(UInt64(servers[server].processID)) {
            $0 << 8 | UInt64($1)
        }
        row.partner = servers[server].client.map { .client($0) }
        row.isPaired = row.partner != nil
        describe(servers[server].parameters, in: &row)
        describeSecrets(of: pool, in: &row)
        if withState { row.state = state(of: server) }
        return row
    }

    private func describe(_ set: ParameterSetID, in row: inout Heirloom) {
        parameters.forEach(in: set) { name, value in
            if name.equalsIgnoringASCIICase("client_encoding") { row.clientEncoding = value }
            if name.equalsIgnoringASCIICase("standard_conforming_strings") { row.standardStrings = value }
            if name.equalsIgnoringASCIICase("datestyle") { row.dateStyle = value }
            if name.equalsIgnoringASCIICase("timezone") { row.timeZone = value }
        }
    }

    private func describeSecrets(of pool: PoolID, in row: inout Heirloom) {
        let user = pools[pool].user
        // With a forced user nothing of a client's login is used, and PgBouncer takes keys for a mistake.
        if databases[pools[pool].database].entry.user != nil { return }
        if users[user].secret == nil, let secret = pools[pool].lookedUp {
            row.password = secret.withView { ByteString($0) }
            row.keys = pools[pool].lookedUpKeys
        } else {
            row.keys = users[user].keys
        }
    }

    // MARK: What has no column

    private func statementHeirlooms() -> [Heirloom] {
        var seen: Set<UInt32> = []
        var rows: [Heirloom] = []
        func add(_ statement: UInt32, _ table: borrowing StatementTable) {
            guard statement < UnnamedStatement.tooLong, seen.insert(statement).inserted else { return }
            var writer = StateWriter()
            writer.add(table.serial(statement))
            writer.add(table.definition(statement))
            var row = Heirloom(.prepared)
            row.state = ByteString(writer.bytes)
            rows.append(row)
        }
        for client in clientIDs {
            for entry in clients[client].statements?.entries ?? [] {
                add(entry.committed, statements)
                add(entry.pending, statements)
            }
            add(clients[client].unnamed.committed, statements)
            add(clients[client].unnamed.pending, statements)
        }
        for server in serverIDs {
            for entry in servers[server].statements.standing { add(entry.statement, statements) }
            for entry in servers[server].statements.closingInOrder { add(entry.statement, statements) }
            add(servers[server].statements.unnamed.statement, statements)
            for entry in servers[server].replies.standing.entries where entry.disposition != .duplicateName {
                add(entry.statement, statements)
            }
        }
        return rows
    }

    private func poolHeirlooms() -> [Heirloom] {
        poolIDs.compactMap { pool in
            guard pool != consolePool, let welcome = pools[pool].welcome else { return nil }
            var row = Heirloom(.pool)
            row.user = users[pools[pool].user].name
            row.database = databases[pools[pool].database].name
            describeSecrets(of: pool, in: &row)
            var writer = StateWriter()
            writer.add(welcome.fixed)
            writer.add(pairs(of: welcome.base))
            row.state = ByteString(writer.bytes)
            return row
        }
    }

    /// The statement by its number on the servers; what stands for none stays as it is.
    private func serial(_ statement: UInt32) -> UInt32 {
        statement < UnnamedStatement.tooLong ? statements.serial(statement) : statement
    }

    private func state(of client: ClientID) -> ByteString {
        var writer = StateWriter()
        let isNew = clients[client].phase == .startup
        writer.add(isNew)
        writer.add(clients[client].peer)
        writer.add(clients[client].local)
        writer.add(clients[client].number)
        writer.add(clients[client].connectedAt)
        writer.add(clients[client].requestAt)
        if isNew { return ByteString(writer.bytes) }
        writer.add(clients[client].phase == .skipping)
        writer.add(clients[client].restBytes)
        writer.add(clients[client].skipBytes)
        writer.add(clients[client].longSecret)
        writer.add(pairs(of: clients[client].parameters))
        let names = clients[client].statements?.entries ?? []
        writer.add(clients[client].statements != nil)
        writer.add(names.count)
        for entry in names {
            writer.add(entry.name)
            writer.add(serial(entry.committed))
            writer.add(serial(entry.pending))
            writer.add(entry.segment)
            writer.add(entry.changes)
        }
        let unnamed = clients[client].unnamed
        writer.add(serial(unnamed.committed))
        writer.add(serial(unnamed.pending))
        writer.add(unnamed.segment)
        writer.add(unnamed.changes)
        writer.add(clients[client].querySince)
        writer.add(clients[client].transactionSince)
        writer.add(clients[client].cancelsNext)
        writer.add(clients[client].preparesDropping)
        writer.add(clients[client].waitsBehindRest)
        writer.add(clients[client].waitsForAll)
        writer.add(clients[client].holds.contains(.ledger))
        return ByteString(writer.bytes)
    }

    private func state(of server: ServerID) -> ByteString {
        var writer = StateWriter()
        let database = pools[servers[server].pool].database
        writer.add(servers[server].number)
        writer.add(servers[server].openedAt)
        writer.add(servers[server].requestAt)
        writer.add(servers[server].restingSince)
        writer.add(servers[server].endpoint.host)
        writer.add(UInt64(servers[server].endpoint.port))
        writer.add(databases[database].nameOnServer)
        writer.add(servers[server].remote)
        writer.add(servers[server].local)
        writer.add(servers[server].processID)
        writer.add(servers[server].secret)
        writer.add(servers[server].epoch)
        writer.add(pairs(of: servers[server].parameters))
        writer.add(UInt64(servers[server].status.rawValue))
        writer.add(servers[server].awaitsParameters)
        writer.add(servers[server].syncsCrossedOut)
        writer.add(servers[server].strayReadies)
        writer.add(servers[server].saidFatal)
        writer.add(servers[server].restBytes)
        writer.add(servers[server].rest == .relay)
        writer.add(servers[server].poison != nil)
        writer.add(servers[server].retirement != nil)
        writer.add(servers[server].needsFence || servers[server].cancels > 0)
        write(servers[server].replies.standing, into: &writer)
        let known = servers[server].statements.standing
        writer.add(known.count)
        for (statement, isConfirmed, segment) in known {
            writer.add(serial(statement))
            writer.add(isConfirmed)
            writer.add(segment)
        }
        let closing = servers[server].statements.closingInOrder
        writer.add(closing.count)
        for (statement, segment) in closing {
            writer.add(serial(statement))
            writer.add(segment)
        }
        let (unnamed, presence) = servers[server].statements.unnamed
        writer.add(serial(unnamed))
        switch presence {
        case .absent: writer.add(0)
        case .unknown: writer.add(1)
        case .prepared: writer.add(2)
        case .underWay(let segment):
            writer.add(3)
            writer.add(segment)
        }
        return ByteString(writer.bytes)
    }

    private func write(_ ledger: LedgerStanding, into writer: inout StateWriter) {
        writer.add(ledger.entries.count)
        for entry in ledger.entries {
            writer.add(UInt64(entry.request.rawValue))
            writer.add(UInt64(entry.disposition.rawValue))
            // For a name that is taken it is the number of the name.
            writer.add(
                entry.disposition == .duplicateName ? entry.statement : serial(entry.statement))
            writer.add(entry.name)
        }
        writer.add(ledger.frontHasResult)
        writer.add(ledger.skipsToSync)
        switch ledger.copyIn {
        case .none: writer.add(0)
        case .taking: writer.add(1)
        case .ending: writer.add(2)
        }
        writer.add(ledger.isBatchOpen)
        writer.add(ledger.segment)
    }
}
