import Auth
import Config
import Pool
public import Primitives
import Session
import Wire

/// Online restart: the sessions of the process before this one go on here.
extension Switchboard {
    /// Takes in one row. First come the rows without a socket, then servers, then clients with the servers
    /// they have. `.adopt` is the first action for the link that is returned; `nil` for what has none.
    public mutating func inherit(
        _ row: Heirloom, partner: ServerID?, now: Instant, into actions: inout ActionList
    ) -> LinkID? {
        switch row.task {
        case .prepared:
            inheritStatement(row)
            return nil
        case .pool:
            inheritPool(row, now: now, into: &actions)
            return nil
        case .server: return inheritServer(row, now: now, into: &actions).map { .server($0) }
        case .client:
            return inheritClient(row, partner: partner, now: now, into: &actions).map { .client($0) }
        }
    }

    /// All rows have come: servers whose clients have not are closed.
    public mutating func inheritedAll(now: Instant, into actions: inout ActionList) {
        inheritedStatements.values.forEach { statements.letGo($0) }
        inheritedStatements = [:]
        for server in serverIDs
        where servers.contains(server) && roster.state(server) == .active && servers[server].client == nil {
            closeServer(server, because: "obsolete connection", now: now, into: &actions)
        }
        for server in serverIDs
        where servers.contains(server) && roster.state(server) == .idle && servers[server].retirement != nil {
            closeServer(server, because: "obsolete connection", now: now, into: &actions)
        }
    }

    // MARK: Without a socket

    private mutating func inheritStatement(_ row: Heirloom) {
        guard var reader = StateReader(row.state) else { return }
        let serial = reader.uint32()
        let definition = reader.text()
        guard reader.isWhole, inheritedStatements[serial] == nil else { return }
        inheritedStatements[serial] = definition.withView { statements.hold($0, serial: serial) }
    }

    private mutating func inheritPool(_ row: Heirloom, now: Instant, into actions: inout ActionList) {
        guard var reader = StateReader(row.state), let (_, pool) = place(row, now: now, into: &actions)
        else { return }
        let fixed = reader.pairs()
        let base = reader.pairs()
        guard reader.isWhole, pools[pool].welcome == nil else { return }
        learnSecrets(row, pool)
        pools[pool].welcome = Welcome(fixed: fixed, base: set(of: base))
    }

    private mutating func place(
        _ row: Heirloom, now: Instant, into actions: inout ActionList
    ) -> (DatabaseID, PoolID)? {
        guard let name = row.database, let user = row.user,
            let database = findDatabase(name, now: now, into: &actions), !databases[database].isRemoved,
            let serverUser = findUser(row.task == .client ? databases[database].entry.user ?? user : user),
            let pool = findPool(database, serverUser, now: now)
        else { return nil }
        return (database, pool)
    }

    private mutating func learnSecrets(_ row: Heirloom, _ pool: PoolID) {
        guard let name = row.user, let user = findUser(name) else { return }
        if let password = row.password, users[user].secret == nil, pools[pool].user == user {
            if pools[pool].lookedUp == nil { keep(Secret(password), row.keys, in: pool) }
        } else if let keys = row.keys, users[user].keys == nil {
            users[user].keys = keys
        }
    }

    /// Held.
    private mutating func statement(_ serial: UInt32) -> UInt32 {
        guard serial < UnnamedStatement.tooLong else { return serial }
        guard let statement = inheritedStatements[serial] else { return ExpectedReply.none }
        statements.hold(again: statement)
        return statement
    }

    /// Held by somebody else.
    private func known(_ serial: UInt32) -> UInt32 {
        serial < UnnamedStatement.tooLong ? inheritedStatements[serial] ?? ExpectedReply.none : serial
    }

    /// The parameters that PgBouncer has columns for.
    private mutating func parameters(of row: Heirloom) -> ParameterSetID {
        let columns: [(name: ByteString, value: ByteString?)] = [
            ("client_encoding", row.clientEncoding), ("standard_conforming_strings", row.standardStrings),
            ("DateStyle", row.dateStyle), ("TimeZone", row.timeZone),
        ]
        return set(
            of: columns.compactMap { column in
                column.value.flatMap { $0.isEmpty ? nil : (name: column.name, value: $0) }
            })
    }

    // MARK: Servers

    private mutating func inheritServer(
        _ row: Heirloom, now: Instant, into actions: inout ActionList
    ) -> ServerID? {
        guard let (database, pool) = place(row, now: now, into: &actions) else { return nil }
        learnSecrets(row, pool)
        guard var reader = StateReader(row.state) else {
            return inheritPlainServer(row, database, pool, now: now, into: &actions)
        }
        let number = reader.number()
        let openedAt = reader.instant()
        let requestAt = reader.instant()
        let restingSince = reader.instant()
        let endpoint = Endpoint(host: reader.text(), port: UInt16(truncatingIfNeeded: reader.number()))
        let nameOnServer = reader.text()
        let remote = reader.optionalAddress()
        let local = reader.optionalAddress()
        let processID = reader.uint32()
        let secret = reader.text()
        let epoch = reader.number()
        let set = set(of: reader.pairs())
        let session = ServerSession(
            number: number, pool: pool, endpoint: endpoint, parameters: set, now: openedAt)
        guard let server = servers.insert(session) else {
            parameters.letGo(set)
            return nil
        }
        connectionCount = max(connectionCount, number)
        servers[server].phase = .ready
        servers[server].requestAt = requestAt
        servers[server].restingSince = restingSince
        servers[server].remote = remote
        servers[server].local = local
        servers[server].processID = processID
        servers[server].secret = secret
        servers[server].epoch = epoch
        readWork(of: server, from: &reader)
        readStatements(of: server, from: &reader)
        let entry = databases[database].entry
        let host = entry.hosts.isEmpty ? snapshot.global.unixSocketDir : endpoint.host
        if !reader.isWhole {
            servers[server].poison("the process before told of it in part only")
        } else if endpoint.port != entry.port || endpoint.host != host
            || !entry.hosts.isEmpty && !entry.hosts.contains(host)
            || databases[database].nameOnServer != nameOnServer
        {
            servers[server].retirement = "database configuration changed"
        }
        return enlist(server, database, pool, hasClient: row.isPaired, now: now, into: &actions)
    }

    /// A server of which only PgBouncer's columns are known: what else its sessions have set nobody knows, so
    /// it is used up by the client it has, if it has one.
    private mutating func inheritPlainServer(
        _ row: Heirloom, _ database: DatabaseID, _ pool: PoolID, now: Instant,
        into actions: inout ActionList
    ) -> ServerID? {
        let entry = databases[database].entry
        let endpoint = Endpoint(
            host: entry.hosts.first ?? snapshot.global.unixSocketDir, port: entry.port)
        let set = parameters(of: row)
        let session = ServerSession(
            number: nextNumber(), pool: pool, endpoint: endpoint, parameters: set, now: now)
        guard let server = servers.insert(session) else {
            parameters.letGo(set)
            return nil
        }
        servers[server].phase = .ready
        servers[server].remote = row.address
        servers[server].processID = UInt32(truncatingIfNeeded: row.key >> 32)
        servers[server].secret = ByteString(
            (0..<4).map { UInt8(truncatingIfNeeded: row.key >> (24 - UInt64($0) * 8)) })
        servers[server].retirement = "obsolete connection"
        if row.isPaired {
            servers[server].replies = .untold
            servers[server].status = .inTransaction
            servers[server].statements.setUnnamed(ExpectedReply.none, .unknown)
        }
        return enlist(server, database, pool, hasClient: row.isPaired, now: now, into: &actions)
    }

    private mutating func enlist(
        _ server: ServerID, _ database: DatabaseID, _ pool: PoolID, hasClient: Bool, now: Instant,
        into actions: inout ActionList
    ) -> ServerID {
        actions.append(.adopt(.server(server)))
        databases[database].servers += 1
        users[pools[pool].user].servers += 1
        pools[pool].lists.move(server, to: hasClient ? .active : .idle, in: &roster)
        watchRest(server, now: servers[server].restingSince)
        return server
    }

    private mutating func readWork(of server: ServerID, from reader: inout StateReader) {
        servers[server].status = TransactionStatus(rawValue: reader.uint8()) ?? .failed
        servers[server].awaitsParameters = reader.flag()
        servers[server].syncsCrossedOut = reader.int()
        servers[server].strayReadies = reader.int()
        servers[server].saidFatal = reader.flag()
        servers[server].restBytes = max(0, reader.int())
        servers[server].rest = reader.flag() ? .relay : .swallow
        if reader.flag() { servers[server].poison("out of step before the takeover") }
        if reader.flag() { servers[server].retirement = "obsolete connection" }
        servers[server].needsFence = reader.flag()
        var ledger = LedgerStanding()
        for _ in 0..<reader.count() {
            guard let request = Request(rawValue: reader.uint8()),
                let disposition = Disposition(rawValue: reader.uint8())
            else {
                servers[server].poison("the process before told of it in part only")
                return
            }
            let serial = reader.uint32()
            let name = reader.uint32()
            let isHeld =
                request == .parse && name != ExpectedReply.none
                || request == .parseUnnamed && name == ExpectedReply.unnamed
            let number =
                disposition == .duplicateName ? serial : isHeld ? statement(serial) : known(serial)
            ledger.entries.append(
                ExpectedReply(request, disposition, statement: number, name: name))
        }
        ledger.frontHasResult = reader.flag()
        ledger.skipsToSync = reader.flag()
        switch reader.number() {
        case 1: ledger.copyIn = .taking
        case 2: ledger.copyIn = .ending
        default: ledger.copyIn = .none
        }
        ledger.isBatchOpen = reader.flag()
        ledger.segment = reader.uint32()
        servers[server].replies = ExpectedReplies(ledger)
    }

    private mutating func readStatements(of server: ServerID, from reader: inout StateReader) {
        for _ in 0..<reader.count() {
            let number = statement(reader.uint32())
            let isConfirmed = reader.flag()
            let segment = reader.uint32()
            guard number < UnnamedStatement.tooLong else { continue }
            servers[server].statements.parseSent(number, segment: segment)
            if isConfirmed { servers[server].statements.confirm(number) }
        }
        for _ in 0..<reader.count() {
            let number = statement(reader.uint32())
            let segment = reader.uint32()
            if number < UnnamedStatement.tooLong {
                servers[server].statements.closeSent(number, segment: segment)
            }
        }
        let unnamed = statement(reader.uint32())
        switch reader.number() {
        case 1: servers[server].statements.setUnnamed(unnamed, .unknown)
        case 2: servers[server].statements.setUnnamed(unnamed, .prepared)
        case 3: servers[server].statements.setUnnamed(unnamed, .underWay(segment: reader.uint32()))
        default: servers[server].statements.setUnnamed(unnamed, .absent)
        }
    }

    // MARK: Clients

    private mutating func inheritClient(
        _ row: Heirloom, partner: ServerID?, now: Instant, into actions: inout ActionList
    ) -> ClientID? {
        var peer = row.address
        var local = SocketAddress(family: peer.family, port: process.listenPort)
        var number: UInt64?
        var connectedAt = now
        var requestAt = now
        var state = StateReader(row.state)
        let isNew = state?.flag() ?? false
        if state != nil {
            peer = state?.address() ?? peer
            local = state?.address() ?? local
            number = state?.number()
            connectedAt = state?.instant() ?? now
            requestAt = state?.instant() ?? now
        }
        if let number { connectionCount = max(connectionCount, number) }
        if isNew { return inheritNewcomer(number, peer, local, now: now, into: &actions) }
        var set = parameters.empty
        if state == nil { set = parameters(of: row) } else { parameters.hold(again: set) }
        let session = ClientSession(
            number: number ?? nextNumber(), peer: peer, local: local, parameters: set, now: connectedAt)
        guard let client = clients.insert(session) else {
            parameters.letGo(set)
            return nil
        }
        clients[client].isStranger = false
        actions.append(.adopt(.client(client)))
        clients[client].requestAt = requestAt
        guard let (database, pool) = place(row, now: now, into: &actions),
            let user = row.user.flatMap({ findUser($0) })
        else {
            refuse(client, .noDatabase(row.database ?? ""), now: now, into: &actions)
            return client
        }
        learnSecrets(row, pool)
        seat(client, database, user, pool, row.key, now: now)
        if var reader = state {
            readSession(of: client, from: &reader, into: &actions)
            guard reader.isWhole else {
                refuse(client, .serverClosed, now: now, into: &actions)
                return client
            }
        }
        if row.isPaired { pair(client, partner, now: now, into: &actions) }
        if clients.contains(client), clients[client].phase == .idle {
            watchIdle(client, now: requestAt)
        }
        return client
    }

    /// A client that has not said anything that was understood.
    private mutating func inheritNewcomer(
        _ number: UInt64?, _ peer: SocketAddress, _ local: SocketAddress, now: Instant,
        into actions: inout ActionList
    ) -> ClientID? {
        let taken = takeIn(number, peer: peer, local: local, now: now, into: &actions)
        guard let client = taken else { return nil }
        clients[client].awaitsHeader = speaksForOthers(peer)
        // It was let in already: whoever is over a limit that has become lower may stay.
        if !clients[client].awaitsHeader {
            clients[client].isCounted = true
            _ = addresses.arrive(peer, limit: 0)
        }
        actions.append(.adopt(.client(client)))
        if !clients[client].holds.isEmpty { actions.append(.pauseReading(.client(client))) }
        return client
    }

    private mutating func seat(
        _ client: ClientID, _ database: DatabaseID, _ user: UserID, _ pool: PoolID, _ key: UInt64,
        now: Instant
    ) {
        if !clients[client].isCounted { _ = addresses.arrive(clients[client].peer, limit: 0) }
        clients[client].isCounted = true
        clients[client].awaitsHeader = false
        if crew.isAlone {
            clients[client].isGuest = true
            _ = addresses.enter(clients[client].peer, limit: 0)
        }
        clients[client].phase = .idle
        clients[client].database = database
        clients[client].user = user
        clients[client].pool = pool
        databases[database].clients += 1
        databases[database].lastUsed = now
        users[user].clients += 1
        pools[pool].clients += 1
        clients[client].key = key
        if key != 0 { cancelKeys[key] = client }
    }

    private mutating func readSession(
        of client: ClientID, from reader: inout StateReader, into actions: inout ActionList
    ) {
        if reader.flag() { clients[client].phase = .skipping }
        clients[client].restBytes = max(0, reader.int())
        clients[client].skipBytes = max(0, reader.int())
        clients[client].longSecret = reader.optionalText()
        let set = set(of: reader.pairs())
        parameters.letGo(clients[client].parameters)
        clients[client].parameters = set
        let hasNames = reader.flag()
        var names: [ClientStatements.Entry] = []
        for _ in 0..<reader.count() {
            let name = reader.text()
            let committed = statement(reader.uint32())
            // The ledger holds what is pending.
            let pending = known(reader.uint32())
            names.append(
                ClientStatements.Entry(
                    name: name, committed: committed, pending: pending, segment: reader.uint32(),
                    changes: reader.uint32()))
        }
        if hasNames { clients[client].statements = ClientStatements(seed: hashSeed, names) }
        clients[client].unnamed.committed = statement(reader.uint32())
        clients[client].unnamed.pending = statement(reader.uint32())
        clients[client].unnamed.segment = reader.uint32()
        clients[client].unnamed.changes = reader.uint32()
        clients[client].querySince = reader.instant()
        clients[client].transactionSince = reader.instant()
        clients[client].cancelsNext = reader.flag()
        clients[client].preparesDropping = reader.flag()
        clients[client].waitsBehindRest = reader.flag()
        clients[client].waitsForAll = reader.flag()
        if reader.flag() { hold(client, .ledger, into: &actions) }
    }

    private mutating func pair(
        _ client: ClientID, _ partner: ServerID?, now: Instant, into actions: inout ActionList
    ) {
        guard let server = partner, servers.contains(server), servers[server].client == nil,
            roster.state(server) == .active, let pool = clients[client].pool
        else { return refuse(client, .serverClosed, now: now, into: &actions) }
        servers[server].client = client
        clients[client].phase = .active(server)
        watchTransaction(client, pool, now: now)
    }
}
