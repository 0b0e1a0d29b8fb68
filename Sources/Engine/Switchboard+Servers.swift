import Auth
import Config
import Pool
public import Primitives
import Session
import Wire

/// Connections to PostgreSQL: opening, logging in, errands, closing.
extension Switchboard {
    // MARK: Opening

    /// Sees to it that those in line get servers: lends what is idle, and opens as many as those in line and
    /// `min_pool_size` call for, and as the limits and the pace allow.
    mutating func openServers(for pool: PoolID, now: Instant, into actions: inout ActionList) {
        guard mayLend(pool), shutdown != .waitForServers else { return }
        if !pools[pool].lookups.isEmpty { serveLookups(of: pool, now: now, into: &actions) }
        if !pools[pool].replicationLine.isEmpty { openForReplication(pool, now: now, into: &actions) }
        if !pools[pool].waiting.isEmpty { serveLine(of: pool, now: now, into: &actions) }
        if crew.isMate { return reportLine(of: pool, now: now, into: &actions) }
        // A slow lookup is not a server that is about to be free for others.
        var waiting = pools[pool].waiting.count + pools[pool].lookups.count + pools[pool].runningLookups
        let first = pools[pool].waiting.first.flatMap { clients.id(at: $0) }.map { clients[$0].waitingSince }
        let firstLookup = pools[pool].lookups.first.map { lookups[$0].since }
        var oldest = [first, firstLookup].compactMap { $0 }.min()
        if crew.isKeeper { addLinesElsewhere(of: pool, to: &waiting, &oldest) }
        let plan = pools[pool].settings.limits.plan(
            pools[pool].lists, pools[pool].pace, waiting: waiting, oldestWait: oldest,
            upkeep: keepsMinimum(pool), now: now)
        if let again = plan.askAgain { wake(pool, at: again) }
        if crew.isKeeper, plan.openings > 0, waiting > 0,
            asksForSpares(of: pool, waiting, now: now, into: &actions)
        {
            return
        }
        for index in 0..<plan.openings {
            let isReserve = index >= plan.openings - plan.fromReserve
            guard makeRoomInLimits(for: pool, now: now, into: &actions) else { return }
            let taken: ByteString = "taking connection from reserve_pool"
            if isReserve, let slot = pools[pool].waiting.first, let client = clients.id(at: slot) {
                log(.warning, client, taken, into: &actions)
                _ = open(for: pool, now: now, into: &actions)
            } else if let server = open(for: pool, now: now, into: &actions), isReserve {
                // Who waits for it is on another worker.
                log(.warning, server, taken, into: &actions)
            }
        }
    }

    private func keepsMinimum(_ pool: PoolID) -> Bool {
        guard pools[pool].settings.limits.minimum > 0 else { return false }
        let database = databases[pools[pool].database].entry
        return pools[pool].clients > 0 || database.user == users[pools[pool].user].name
    }

    /// Whether `max_db_connections` and `max_user_connections` leave room for one more; an idle server of
    /// another pool makes room if it must, the one idle longest.
    mutating func makeRoomInLimits(
        for pool: PoolID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        let database = pools[pool].database
        let user = pools[pool].user
        let perDatabase = pools[pool].settings.maxDbConnections
        let perUser = pools[pool].settings.maxUserConnections
        if perDatabase > 0, databases[database].servers >= perDatabase {
            guard hasLine(pool) else { return false }
            guard evict(now, { $0.database == database }, into: &actions) else {
                askForRoom(for: pool, database: true, now: now, into: &actions)
                return false
            }
        }
        if perUser > 0, users[user].servers >= perUser {
            guard hasLine(pool) else { return false }
            guard evict(now, { $0.user == user }, into: &actions) else {
                askForRoom(for: pool, database: false, now: now, into: &actions)
                return false
            }
        }
        return true
    }

    /// Closes the pool's own server that has been idle longest.
    mutating func evict(_ now: Instant, in pool: PoolID, into actions: inout ActionList) -> Bool {
        guard let slot = pools[pool].lists[.idle].first, let server = servers.id(at: slot) else {
            return false
        }
        isMakingRoom = true
        closeServer(server, because: "evicted", now: now, into: &actions)
        isMakingRoom = false
        return true
    }

    mutating func evict(
        _ now: Instant, _ fits: (borrowing PoolRecord) -> Bool, into actions: inout ActionList
    ) -> Bool {
        var longest: (server: ServerID, since: Instant)?
        for pool in poolIDs where fits(pools[pool]) {
            guard let slot = pools[pool].lists[.idle].first, let server = servers.id(at: slot) else {
                continue
            }
            if longest == nil || servers[server].restingSince < longest!.since {
                longest = (server, servers[server].restingSince)
            }
        }
        guard let longest else { return false }
        isMakingRoom = true
        closeServer(longest.server, because: "evicted", now: now, into: &actions)
        isMakingRoom = false
        return true
    }

    /// A server went idle: if another pool's line waits for room under a shared limit, it makes room.
    mutating func yield(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        if crew.isMate { return yieldElsewhere(pool, now: now, into: &actions) }
        let perDatabase = pools[pool].settings.maxDbConnections
        let perUser = pools[pool].settings.maxUserConnections
        guard perDatabase > 0 || perUser > 0 else { return }
        let database = pools[pool].database
        let user = pools[pool].user
        for other in poolIDs where other != pool && hasLine(other) {
            if perDatabase > 0 && pools[other].database == database
                || perUser > 0 && pools[other].user == user
            {
                openServers(for: other, now: now, into: &actions)
            }
        }
    }

    mutating func open(for pool: PoolID, now: Instant, into actions: inout ActionList) -> ServerID? {
        guard let server = newServer(in: pool, now: now) else { return nil }
        pools[pool].lists.move(server, to: .opening, in: &roster)
        databases[pools[pool].database].servers += 1
        users[pools[pool].user].servers += 1
        wake(server, after: pools[pool].settings.serverConnectTimeout, from: now)
        actions.open(server, servers[server].endpoint)
        return server
    }

    /// A fresh session record for a connection to the pool's database.
    mutating func newServer(in pool: PoolID, to endpoint: Endpoint? = nil, now: Instant) -> ServerID? {
        parameters.hold(again: parameters.empty)
        let target = endpoint ?? nextEndpoint(of: pools[pool].database)
        let session = ServerSession(
            number: nextNumber(), pool: pool, endpoint: target, parameters: parameters.empty, now: now)
        if let server = servers.insert(session) { return server }
        parameters.letGo(parameters.empty)
        return nil
    }

    private mutating func nextEndpoint(of database: DatabaseID) -> Endpoint {
        let entry = databases[database].entry
        guard !entry.hosts.isEmpty else {
            return Endpoint(host: snapshot.global.unixSocketDir, port: entry.port)
        }
        let cursor = databases[database].hostCursor
        if entry.loadBalanceHosts == .roundRobin { databases[database].hostCursor = cursor &+ 1 }
        return Endpoint(host: entry.hosts[Int(cursor.magnitude % UInt(entry.hosts.count))], port: entry.port)
    }

    /// The connection asked for by `.open` stands. `remote` is the address really used.
    public mutating func serverOpened(
        _ server: ServerID, remote: SocketAddress, local: SocketAddress, now: Instant,
        into actions: inout ActionList
    ) {
        guard servers.contains(server) else { return }
        servers[server].remote = remote
        servers[server].local = local
        if let forwarded = servers[server].forwarded {
            return sendForwarded(server, forwarded, into: &actions)
        }
        if servers[server].victim == nil, snapshot.global.logConnections {
            let from =
                local.family == .unix
                ? ByteString("")
                : ByteString(" (from ").appending(
                    local.text(serverPort: local.port)
                ).appending(")")
            log(.log, server, ByteString("new connection to server").appending(from), into: &actions)
        }
        if askForTLS(server, remote, into: &actions) { return }
        beginSession(server, now: now, into: &actions)
    }

    /// The link is as safe as it will be: says who we are, or what is to be cancelled.
    mutating func beginSession(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        if servers[server].victim != nil { return sendCancel(server, now: now, into: &actions) }
        let pool = servers[server].pool
        let user = users[pools[pool].user].name
        servers[server].phase = .loggingIn
        servers[server].login = ServerLogin(
            auth: ServerAuth(
                user: user, credential: credential(for: pool),
                binding: servers[server].encryption?.binding))
        let database = pools[pool].database
        let name = databases[database].nameOnServer
        let entry = databases[database].entry
        let own = servers[server].replication.map { replicationParameters($0) } ?? []
        actions.send(to: .server(server)) {
            let start = $0.count
            $0.append(uint32: 0)
            $0.append(uint32: 3 << 16)
            $0.append(cString: "user")
            $0.append(cString: user)
            $0.append(cString: "database")
            $0.append(cString: name)
            for (key, value) in [
                ("client_encoding" as ByteString, entry.clientEncoding), ("datestyle", entry.datestyle),
                ("timezone", entry.timezone), ("application_name", entry.applicationName),
            ] {
                guard let value else { continue }
                $0.append(cString: key)
                $0.append(cString: value)
            }
            // The last of several counts.
            for (key, value) in own {
                $0.append(cString: key)
                $0.append(cString: value)
            }
            $0.append(0)
            $0.set(uint32: UInt32($0.count - start), at: start)
        }
    }

    /// What we can prove ourselves with: the database line's password, the user's secret, or the keys of the
    /// client's own login.
    private func credential(for pool: PoolID) -> ServerCredential {
        let entry = databases[pools[pool].database].entry
        let user = pools[pool].user
        if let password = entry.password, entry.user == users[user].name { return .secret(Secret(password)) }
        if let typed = pools[pool].lookedUp, typed.isTyped { return .secret(typed) }
        guard let secret = users[user].secret else {
            guard let secret = pools[pool].lookedUp else { return .none }
            if secret.kind == .scram, let keys = pools[pool].lookedUpKeys { return .keys(keys) }
            return .secret(secret)
        }
        if secret.kind == .scram, let keys = users[user].keys { return .keys(keys) }
        return .secret(secret)
    }

    /// The connection asked for by `.open` failed; its handle is dead after this.
    public mutating func serverFailed(
        _ server: ServerID, _ failure: OpenFailure, now: Instant, into actions: inout ActionList
    ) {
        guard servers.contains(server) else { return }
        let text: ByteString =
            switch failure {
            case .nameLookup: "server DNS lookup failed"
            case .connect: "connect failed"
            }
        if servers[server].victim == nil, servers[server].forwarded == nil {
            loginFailed(server, Refusal(text), now: now, into: &actions)
        }
        forgetServer(server, because: text, now: now, into: &actions)
    }

    // MARK: Logging in

    mutating func loginReplies(
        _ bytes: ByteView, from server: ServerID, now: Instant, into actions: inout ActionList
    ) -> Int {
        var offset = 0
        while offset < bytes.count, servers.contains(server) {
            guard servers[server].phase == .loggingIn else { break }
            guard
                case .header(let header) = bytes.frame(
                    at: offset, limitBytes: UInt32(Limits.serverMessageBytes))
            else {
                if case .incomplete = bytes.frame(at: offset, limitBytes: .max) { return offset }
                failLogin(server, Refusal("bad pkt header"), now: now, into: &actions)
                return bytes.count
            }
            guard bytes.count - offset >= header.messageBytes else { return offset }
            let body = bytes.slice(
                offset + FrameHeader.byteCount, header.messageBytes - FrameHeader.byteCount)
            if header.kind == ServerMessageKind.authentication.rawValue,
                mustFetchPassword(server, for: body, now: now, into: &actions)
            {
                return offset
            }
            if header.kind == ServerMessageKind.authentication.rawValue,
                let derivation = servers[server].login?.auth.derivation(for: body),
                mustWait(.server(server), for: derivation, isTyped: false, into: &actions)
            {
                return offset
            }
            offset += header.messageBytes
            loginReply(
                ServerMessageKind(rawValue: header.kind), body, from: server, now: now, into: &actions)
        }
        guard servers.contains(server) else { return bytes.count }
        if servers[server].phase == .ready, offset < bytes.count {
            return replies(bytes, startingAt: offset, from: server, now: now, into: &actions)
        }
        if servers[server].phase == .replicating, offset < bytes.count {
            return replicationReplies(bytes, startingAt: offset, from: server, now: now, into: &actions)
        }
        return offset
    }

    private mutating func loginReply(
        _ kind: ServerMessageKind?, _ body: ByteView, from server: ServerID, now: Instant,
        into actions: inout ActionList
    ) {
        switch kind {
        case .authentication:
            guard let login = servers[server].login else { return }
            var step = ServerAuthStep.replied
            actions.send(to: .server(server)) {
                step = login.auth.received(body, entropy: &entropy, cache: &scramCache, into: &$0)
            }
            if case .failed(let failure) = step {
                log(.error, server, failure.reason, into: &actions)
                failLogin(server, Refusal(failure.text), now: now, into: &actions)
            }
            if case .accepted = step { login.isIn = true }
        case .parameterStatus:
            guard let (name, value) = ServerMessage.parameterStatus(body) else {
                return failLogin(server, Refusal("bad packet"), now: now, into: &actions)
            }
            if let index = parameters.reportedIndex(name) {
                servers[server].parameters = parameters.replacing(
                    servers[server].parameters, at: index, with: value)
            } else if let login = servers[server].login, login.welcome.count < 64 {
                login.welcome.append((ByteString(name), ByteString(value)))
            }
        case .backendKeyData:
            guard let (processID, secret) = ServerMessage.backendKeyData(body) else {
                return failLogin(server, Refusal("bad packet"), now: now, into: &actions)
            }
            servers[server].processID = processID
            servers[server].secret = ByteString(secret)
        case .readyForQuery:
            guard ServerMessage.readyForQuery(body) == .idle, servers[server].login?.isIn == true else {
                return failLogin(server, Refusal("bad packet"), now: now, into: &actions)
            }
            loggedIn(server, now: now, into: &actions)
        case .errorResponse:
            serverRefused(body, server, now: now, into: &actions)
        case .noticeResponse, .negotiateProtocolVersion:
            break
        default:
            failLogin(server, Refusal("unknown pkt"), now: now, into: &actions)
        }
    }

    /// PostgreSQL says no. Those in line hear its own words, except while it is only starting up or shutting
    /// down.
    private mutating func serverRefused(
        _ body: ByteView, _ server: ServerID, now: Instant, into actions: inout ActionList
    ) {
        let text = ServerMessage.field(0x4D, of: body).map { ByteString($0) } ?? "server login failed"
        let state = ServerMessage.field(0x43, of: body).map { ByteString($0) } ?? "08P01"
        let severity = ServerMessage.field(0x53, of: body).map { ByteString($0) } ?? "FATAL"
        log(
            .warning, server,
            ByteString("server login failed: ").appending(severity).appending(" ").appending(text),
            into: &actions)
        if state.bytes.starts(with: [0x32, 0x38]) { dropPassword(of: servers[server].pool) }
        let isTemporary = state.bytes.starts(with: ByteString("57P0").bytes)
        if let replication = servers[server].replication, !isTemporary {
            return refuseReplication(server, replication, now: now, into: &actions)
        }
        failLogin(server, Refusal(text, state: state), now: now, into: &actions)
    }

    private mutating func failLogin(
        _ server: ServerID, _ refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        loginFailed(server, refusal, now: now, into: &actions)
        closeServer(server, because: refusal.text, now: now, into: &actions)
    }

    /// Notes that the pool's servers cannot be reached just now. Clients in line hear of it when PostgreSQL
    /// itself refused; when it is starting up, or nobody answered, they keep their places.
    mutating func loginFailed(
        _ server: ServerID, _ refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        if let replication = servers[server].replication {
            return replicationFailed(server, replication, refusal, now: now, into: &actions)
        }
        let pool = servers[server].pool
        let others = pools[pool].lists.sessions - pools[pool].lists[.opening].count
        // One session ended from outside says nothing of the others.
        if others > 0, refusal.state == "57P01" { return }
        pools[pool].pace.loginFailed(now: now)
        pools[pool].failure = refusal
        if crew.isKeeper, others == 0 { tellNews(of: pool, into: &actions) }
        if databases[pools[pool].database].entry.loadBalanceHosts == .disable {
            databases[pools[pool].database].hostCursor &+= 1
        }
        if let next = pools[pool].pace.nextAttempt(retry: pools[pool].settings.limits.loginRetry) {
            wake(pool, at: next)
        }
        let cannotConnectNow = ["57P01", "57P02", "57P03"].contains(refusal.state)
        guard servers[server].phase == .loggingIn, !cannotConnectNow, refusal.text != "connect timeout",
            refusal.text != "server conn crashed?"
        else { return }
        // With other servers at work "too many connections" only means that the line is served by fewer.
        if others > 0, refusal.state == "53300" { return }
        if crew.isKeeper { refuseLinesElsewhere(of: pool, refusal, into: &actions) }
        while let slot = pools[pool].waiting.first, let client = clients.id(at: slot) {
            refuse(client, refusal, now: now, into: &actions)
        }
        failLookups(of: pool, refusal, now: now, into: &actions)
    }

    private mutating func loggedIn(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        let pool = servers[server].pool
        guard let login = servers[server].login else { return }
        if let replication = servers[server].replication {
            return replicationReady(server, replication, now: now, into: &actions)
        }
        servers[server].login = nil
        servers[server].phase = .ready
        let wasKnown = crew.isKeeper && knows(login.welcome, servers[server].parameters, pool)
        pools[pool].pace.loginWorked()
        pools[pool].failure = nil
        if pools[pool].welcome == nil || pools[pool].welcome?.base != servers[server].parameters {
            parameters.hold(again: servers[server].parameters)
            if let old = pools[pool].welcome?.base { parameters.letGo(old) }
        }
        pools[pool].welcome = Welcome(fixed: login.welcome, base: servers[server].parameters)
        if crew.isKeeper, !wasKnown { tellNews(of: pool, into: &actions) }
        greetThoseInLine(of: pool, now: now, into: &actions)
        let database = pools[pool].database
        if let query = databases[database].entry.connectQuery {
            run(query, .connect, on: server, now: now, into: &actions)
        } else {
            lendFresh(server, now: now, into: &actions)
        }
        openServers(for: pool, now: now, into: &actions)
    }

    private mutating func lendFresh(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        if !mayLend(servers[server].pool) {
            return closeServer(server, because: "pause mode", now: now, into: &actions)
        }
        lendOn(server, now: now, into: &actions)
    }

    mutating func greetThoseInLine(
        of pool: PoolID, now: Instant, into actions: inout ActionList
    ) {
        var slot = pools[pool].waiting.first
        while let current = slot {
            slot = pools[pool].waiting.next(after: current, in: clientMembers)
            guard let client = clients.id(at: current), clients[client].phase == .awaitingWelcome else {
                continue
            }
            leaveLine(client)
            greet(client, now: now, into: &actions)
        }
    }

    // MARK: Errands

    /// Runs a query of ours on a server that is nobody's.
    mutating func run(
        _ sql: ByteString, _ errand: ServerSession.Errand, on server: ServerID, now: Instant,
        into actions: inout ActionList
    ) {
        pools[servers[server].pool].lists.move(server, to: .testing, in: &roster)
        servers[server].errand = errand
        servers[server].requestAt = now
        servers[server].replies.expect(ExpectedReply(.query, .swallow))
        forgetUnnamed(of: server)
        actions.send(to: .server(server)) { $0.query(sql) }
        watchErrand(server, now: now)
    }

    mutating func check(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        let query = pools[servers[server].pool].settings.serverCheckQuery ?? ""
        run(query, .check, on: server, now: now, into: &actions)
    }

    func needsCheck(_ server: ServerID, now: Instant) -> Bool {
        let pool = servers[server].pool
        return pools[pool].settings.serverCheckQuery != nil
            && now.since(servers[server].restingSince) > pools[pool].settings.serverCheckDelay
    }

    mutating func finishErrand(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        let errand = servers[server].errand
        servers[server].errand = .none
        if servers[server].status != .idle {
            servers[server].poison("query of the pooler left a transaction")
        }
        if errand == .fence { return release(server, now: now, into: &actions) }
        if !mayLend(servers[server].pool) {
            return closeServer(server, because: "pause mode", now: now, into: &actions)
        }
        lendOn(server, now: now, into: &actions)
    }

    func hasLivedTooLong(_ server: ServerID, now: Instant) -> Bool {
        let lifetime = pools[servers[server].pool].settings.serverLifetime
        // Zero means one use, and a fresh server has had none.
        if lifetime.isZero { return servers[server].epoch > 0 }
        return now.since(servers[server].openedAt) >= lifetime && lifetime.nanoseconds != Int64.max
    }

    // MARK: Closing

    /// Ends a session of ours with PostgreSQL: says Terminate where that is in order, and closes.
    mutating func closeServer(
        _ server: ServerID, because reason: ByteString, now: Instant, into actions: inout ActionList
    ) {
        switch servers[server].phase {
        case .ready, .loggingIn, .replicating:
            // Behind part of a request a Terminate would be read as the rest of it.
            if !servers[server].hasPartOfRequest {
                actions.send(to: .server(server)) { $0.message(.terminate) }
            }
            actions.append(.close(.server(server)))
        case .connecting, .askingForTLS, .shakingHands, .cancelRequest:
            actions.append(.drop(.server(server)))
        }
        forgetServer(server, because: reason, now: now, into: &actions)
    }

    /// PostgreSQL closed the connection, or it broke.
    mutating func serverEnded(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        if servers[server].victim != nil || servers[server].forwarded != nil {
            let reason: ByteString =
                servers[server].phase == .cancelRequest
                ? "successfully sent cancel request" : "failed to send cancel request"
            return forgetServer(server, because: reason, now: now, into: &actions)
        }
        if servers[server].phase != .ready {
            loginFailed(server, Refusal("server conn crashed?"), now: now, into: &actions)
        }
        servers[server].holds = []
        if let client = servers[server].client {
            let isInMessage =
                servers[server].isInRelayedMessage || servers[server].saidFatal
            for reply in servers[server].replies.takeAll() { skipped(reply, from: server) }
            detach(client, from: server, into: &actions)
            refuse(client, .serverCrashed, silently: isInMessage, now: now, into: &actions)
        }
        forgetServer(server, because: "server conn crashed?", now: now, into: &actions)
    }

    /// The server's record goes, and with it everything that was held for it.
    mutating func forgetServer(
        _ server: ServerID, because reason: ByteString, now: Instant, into actions: inout ActionList
    ) {
        let pool = servers[server].pool
        if snapshot.global.logDisconnections {
            let line = ByteString("closing because: ").appending(reason)
                .appending(age(since: servers[server].openedAt, now))
            log(.log, server, line, into: &actions)
        }
        let isSession = roster.state(server) != .cancelling
        for reply in servers[server].replies.takeAll() { skipped(reply, from: server) }
        pools[pool].lists.move(server, to: nil, in: &roster)
        if isSession {
            databases[pools[pool].database].servers -= 1
            users[pools[pool].user].servers -= 1
            if crew.isMate { tellOfClosing(server, into: &actions) }
        }
        for statement in servers[server].statements.takeAll() { statements.letGo(statement) }
        forgetUnnamed(of: server)
        parameters.letGo(servers[server].parameters)
        if pools[pool].clients == 0, pools[pool].lists.sessions == 0 { pools[pool].idleSince = now }
        let victim = servers[server].victim
        let lookup = servers[server].lookup
        let replication = servers[server].replication
        let forwarded = servers[server].forwarded
        let cancels = servers[server].cancels
        servers.remove(server)
        if let victim { cancelEnded(on: victim, now: now, into: &actions) }
        if cancels > 0 { dropCancels(for: server, now: now, into: &actions) }
        if let lookup { lookupLostServer(lookup, now: now, into: &actions) }
        if let forwarded { forwardEnded(forwarded, because: reason, now: now, into: &actions) }
        if let replication { replicationServerLeft(replication, of: pool) }
        serverLeft(now: now, into: &actions)
        if isSession, !waitingCancels.isEmpty { retryCancels(now: now, into: &actions) }
        guard isSession, !isMakingRoom else { return }
        openServers(for: pool, now: now, into: &actions)
        yield(pool, now: now, into: &actions)
    }
}
