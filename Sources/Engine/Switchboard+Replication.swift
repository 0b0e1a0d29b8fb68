import Config
import Pool
import Primitives
import Session
import Wire

/// Replication connections (manual: "Streaming Replication Protocol"). Each client has a server of its own,
/// opened with the client's own start-up parameters, counted in the pool's size like every other, never lent
/// to anybody else, and closed when the client goes. Between them nothing is decided: whole messages pass
/// both ways, whatever the mode of the pool, so that CopyBoth needs no rules here.
extension Switchboard {
    /// Whether a StartupMessage asks for a replication connection.
    func wantsReplication(_ body: ByteView) -> Bool {
        StartupParameters(body).flatMap { replication(in: $0) } != nil
    }

    // MARK: A server for it

    /// The end of its login: it waits for its server, and is greeted with what that says.
    mutating func startReplication(
        _ client: ClientID, _ replication: Replication, in pool: PoolID, now: Instant,
        into actions: inout ActionList
    ) {
        replication.client = client
        clients[client].phase = .awaitingWelcome
        clients[client].waitingSince = now
        clients[client].wasNotified = false
        hold(client, .login, into: &actions)
        pools[pool].replicationLine.append(client)
        watchWait(client, now: now)
        if !crew.isAlone { watchLine(of: pool, now: now) }
        openServers(for: pool, now: now, into: &actions)
    }

    /// Opens servers for those in line, as far as the pool has room or can make some.
    mutating func openForReplication(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        let limits = pools[pool].settings.limits
        while let client = pools[pool].replicationLine.first, let replication = clients[client].replication {
            let opening = pools[pool].lists[.opening].count
            guard pools[pool].pace.room(opening: opening, retry: limits.loginRetry, now: now) > 0 else {
                if let next = pools[pool].pace.nextAttempt(retry: limits.loginRetry), opening == 0 {
                    wake(pool, at: next)
                }
                return
            }
            if limits.size > 0, pools[pool].lists.sessions >= limits.size {
                guard evict(now, in: pool, into: &actions) else { return }
            }
            guard makeRoomInLimits(for: pool, now: now, into: &actions),
                let server = open(for: pool, now: now, into: &actions)
            else { return }
            pools[pool].replicationLine.removeFirst()
            servers[server].replication = replication
            replication.server = server
        }
    }

    /// A server has become free: whether it makes room for one that replication waits for. If so it is gone.
    mutating func makeRoomForReplication(
        _ server: ServerID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        let pool = servers[server].pool
        let settings = pools[pool].settings
        let isFull =
            settings.limits.size > 0 && pools[pool].lists.sessions >= settings.limits.size
            || settings.maxDbConnections > 0
                && databases[pools[pool].database].servers >= settings.maxDbConnections
            || settings.maxUserConnections > 0
                && users[pools[pool].user].servers >= settings.maxUserConnections
        guard isFull, !pools[pool].replicationLine.isEmpty else { return false }
        closeServer(server, because: "evicted", now: now, into: &actions)
        return true
    }

    /// What its server's StartupMessage says beyond user and database.
    func replicationParameters(_ replication: Replication) -> [(ByteString, ByteString)] {
        var pairs: [(ByteString, ByteString)] = [("replication", replication.kind.startupValue)]
        if let options = replication.options { pairs.append(("options", options)) }
        if let client = replication.client, let wishes = clients[client].login?.wishes {
            parameters.forEach(in: wishes) { pairs.append(($0, $1)) }
        }
        return pairs
    }

    /// Its server is logged in: the two belong together now.
    mutating func replicationReady(
        _ server: ServerID, _ replication: Replication, now: Instant, into actions: inout ActionList
    ) {
        guard let client = replication.client, let welcome = servers[server].login?.welcome else {
            return closeServer(server, because: "replication client was closed", now: now, into: &actions)
        }
        let pool = servers[server].pool
        servers[server].login = nil
        servers[server].phase = .replicating
        servers[server].client = client
        servers[server].epoch &+= 1
        servers[server].requestAt = now
        pools[pool].lists.move(server, to: .active, in: &roster)
        pools[pool].pace.loginWorked()
        pools[pool].failure = nil
        pools[pool].counters.serverAssignments &+= 1
        pools[pool].counters.clientLogins &+= 1
        pools[pool].counters.waitTime &+= UInt64(
            clamping: now.since(clients[client].waitingSince).nanoseconds)
        clients[client].waitingSince = .zero
        clients[client].phase = .replicating
        clients[client].requestAt = now
        if let wishes = clients[client].login?.wishes { parameters.letGo(wishes) }
        parameters.letGo(clients[client].parameters)
        parameters.hold(again: servers[server].parameters)
        clients[client].parameters = servers[server].parameters
        sendGreeting(to: client, fixed: welcome, now: now, into: &actions)
        clients[client].login = nil
        unhold(client, .login, into: &actions)
        if clients[client].isCongested { hold(server, .congestion, into: &actions) }
        openServers(for: pool, now: now, into: &actions)
    }

    /// The server will not have it. That is for this client alone, and the server's words stay in the log, as
    /// in PgBouncer. The client hears of it last, so that the log is complete when it does.
    mutating func refuseReplication(
        _ server: ServerID, _ replication: Replication, now: Instant, into actions: inout ActionList
    ) {
        let client = replication.client
        replication.server = nil
        closeServer(server, because: Refusal.loginFailed.text, now: now, into: &actions)
        if let client, clients.contains(client) { refuse(client, .loginFailed, now: now, into: &actions) }
    }

    /// Its server could not be logged in, because nobody answered: the client keeps its place.
    mutating func replicationFailed(
        _ server: ServerID, _ replication: Replication, _ refusal: Refusal, now: Instant,
        into actions: inout ActionList
    ) {
        guard servers[server].phase != .replicating else { return }
        let pool = servers[server].pool
        pools[pool].pace.loginFailed(now: now)
        if databases[pools[pool].database].entry.loadBalanceHosts == .disable {
            databases[pools[pool].database].hostCursor &+= 1
        }
        if let next = pools[pool].pace.nextAttempt(retry: pools[pool].settings.limits.loginRetry) {
            wake(pool, at: next)
        }
    }

    // MARK: Endings

    /// The client goes: its server goes with it.
    mutating func endReplication(
        _ client: ClientID, _ replication: Replication, now: Instant, into actions: inout ActionList
    ) {
        replication.client = nil
        guard let server = replication.server else { return leaveReplicationLine(client) }
        replication.server = nil
        let isLinked = servers[server].client == client
        if isLinked { detach(client, from: server, into: &actions) }
        // One that is logged in and nobody's was taken from the client by whoever closes it.
        guard isLinked || servers[server].phase != .replicating else { return }
        closeServer(server, because: "replication client disconnected", now: now, into: &actions)
    }

    mutating func leaveReplicationLine(_ client: ClientID) {
        guard let pool = clients[client].pool else { return }
        pools[pool].replicationLine.removeAll { $0 == client }
        clients[client].waitingSince = .zero
    }

    /// A server of a replication connection is gone. A client that had not got it yet is first in line again.
    mutating func replicationServerLeft(_ replication: Replication, of pool: PoolID) {
        guard let client = replication.client, clients[client].phase == .awaitingWelcome,
            replication.server != nil
        else { return }
        replication.server = nil
        pools[pool].replicationLine.insert(client, at: 0)
    }

    // MARK: Traffic

    /// Bytes of a replication client, from `start` on. The number consumed, those before included.
    mutating func replicationRequests(
        _ bytes: ByteView, startingAt start: Int = 0, from client: ClientID, now: Instant,
        into actions: inout ActionList
    ) -> Int {
        guard let server = clients[client].server, let pool = clients[client].pool else { return bytes.count }
        let limitBytes = UInt32(clamping: snapshot.global.maxPacketSize)
        var offset = start
        var refusal: Refusal?
        var isLeaving = false
        reading: while offset < bytes.count, clients[client].holds.isEmpty {
            if clients[client].restBytes > 0 {
                let count = min(clients[client].restBytes, bytes.count - offset)
                clients[client].restBytes -= count
                offset += count
                continue
            }
            switch bytes.frame(at: offset, limitBytes: limitBytes) {
            case .incomplete:
                break reading
            case .malformed:
                refusal = .badHeader(bytes.slice(offset))
                break reading
            case .header(let header):
                guard let kind = ClientMessageKind(rawValue: header.kind), kind != .password else {
                    refusal = .unknownMessage
                    break reading
                }
                if kind == .terminate {
                    isLeaving = true
                    break reading
                }
                if kind == .query {
                    pools[pool].counters.queries &+= 1
                    clients[client].requestAt = now
                    if servers[server].replies.isEmpty {
                        servers[server].expect(ExpectedReply(.query), now: now)
                    }
                }
                let present = min(header.messageBytes, bytes.count - offset)
                clients[client].restBytes = header.messageBytes - present
                offset += present
            }
        }
        if offset > start {
            pools[pool].counters.bytesFromClients &+= UInt64(offset - start)
            actions.relay(offset: start, count: offset - start, to: .server(server))
        }
        if let refusal {
            refuse(client, refusal, now: now, into: &actions)
            return bytes.count
        }
        if isLeaving {
            forget(client, because: "client close request", told: false, now: now, into: &actions)
            actions.append(.close(.client(client)))
            return bytes.count
        }
        return offset
    }

    /// Bytes of a replication client's server, from `start` on. The number consumed, those before included.
    mutating func replicationReplies(
        _ bytes: ByteView, startingAt start: Int = 0, from server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Int {
        guard let client = servers[server].client else { return bytes.count }
        var offset = start
        var isBroken = false
        reading: while offset < bytes.count {
            if servers[server].restBytes > 0 {
                let count = min(servers[server].restBytes, bytes.count - offset)
                servers[server].restBytes -= count
                offset += count
                continue
            }
            let header: FrameHeader
            switch bytes.frame(at: offset, limitBytes: UInt32.max >> 1) {
            case .incomplete:
                break reading
            case .malformed:
                isBroken = true
                break reading
            case .header(let found):
                header = found
            }
            guard let kind = ServerMessageKind(rawValue: header.kind), kind != .authentication,
                kind != .backendKeyData, kind != .negotiateProtocolVersion
            else {
                isBroken = true
                break reading
            }
            let present = min(header.messageBytes, bytes.count - offset)
            let isLookedInto = kind == .readyForQuery || kind == .errorResponse || kind == .parameterStatus
            if isLookedInto, header.messageBytes <= Limits.serverMessageBytes {
                if present < header.messageBytes { break reading }
                let body = bytes.slice(offset + FrameHeader.byteCount, present - FrameHeader.byteCount)
                note(kind, body, from: server, of: client, now: now)
            }
            servers[server].restBytes = header.messageBytes - present
            offset += present
        }
        if offset > start {
            pools[servers[server].pool].counters.bytesFromServers &+= UInt64(offset - start)
            actions.relay(offset: start, count: offset - start, to: .client(client))
        }
        if isBroken {
            log(.warning, server, "server broke the protocol", into: &actions)
            detach(client, from: server, into: &actions)
            refuse(client, .serverOutOfStep, now: now, into: &actions)
            closeServer(server, because: "unknown pkt", now: now, into: &actions)
            return bytes.count
        }
        return offset
    }

    /// The little that has to be known of what passes: whether a command runs that a cancel could hit,
    /// how the session ends, and what it is called.
    private mutating func note(
        _ kind: ServerMessageKind, _ body: ByteView, from server: ServerID, of client: ClientID, now: Instant
    ) {
        if kind == .readyForQuery {
            _ = servers[server].replies.takeAll()
            servers[server].restingSince = now
        } else if kind == .parameterStatus {
            _ = follow(body, on: server, for: client)
        } else if kind == .errorResponse {
            noteFatal(body, from: server)
        }
    }
}
