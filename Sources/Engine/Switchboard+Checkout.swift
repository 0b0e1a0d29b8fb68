import Config
import Pool
import Primitives
import Session
import Wire

/// Who gets which server: taking one, standing in line, giving it back.
extension Switchboard {
    enum CheckOut {
        case granted(ServerID)
        /// In line; `.resumeReading` follows when its turn comes.
        case waiting
        /// The client was refused and is gone.
        case refused
    }

    /// A server for a client whose next message needs one. A newcomer never overtakes those in line (I16).
    mutating func checkOut(
        for client: ClientID, now: Instant, into actions: inout ActionList
    ) -> CheckOut {
        guard let pool = clients[client].pool else { return .refused }
        if shutdown == .waitForServers {
            refuse(client, .serverShutdown, now: now, into: &actions)
            return .refused
        }
        if mayLend(pool), pools[pool].waiting.isEmpty,
            let server = idleServer(of: pool, now: now, into: &actions)
        {
            return lend(server, to: client, now: now, into: &actions) ? .granted(server) : .refused
        }
        if let failure = failure(of: pool, now: now) {
            refuse(client, .loginFailing(failure.text), now: now, into: &actions)
            return .refused
        }
        clients[client].phase = .waiting
        hold(client, .queue, into: &actions)
        enqueue(client, now: now, into: &actions)
        return clients.contains(client) ? .waiting : .refused
    }

    /// Why nobody need wait for a server: logins to a pool that once worked fail, and the next attempt is not
    /// due.
    func failure(of pool: PoolID, now: Instant) -> Refusal? {
        guard let failure = pools[pool].failure, pools[pool].pace.isFailing,
            pools[pool].lists.sessions == 0, pools[pool].welcome != nil,
            let next = pools[pool].pace.nextAttempt(retry: pools[pool].settings.limits.loginRetry), now < next
        else { return nil }
        return failure
    }

    /// Puts a client at the end of its pool's line and sees to it that a server comes.
    mutating func enqueue(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        guard let pool = clients[client].pool else { return }
        clients[client].waitingSince = now
        clients[client].wasNotified = false
        pools[pool].waiting.append(client.handle.slot, in: &clientMembers)
        watchWait(client, now: now)
        if !crew.isAlone { watchLine(of: pool, now: now) }
        openServers(for: pool, now: now, into: &actions)
    }

    mutating func leaveLine(_ client: ClientID) {
        guard let pool = clients[client].pool, clients[client].waitingSince != .zero else { return }
        if clients[client].replication != nil { return leaveReplicationLine(client) }
        pools[pool].waiting.remove(client.handle.slot, in: &clientMembers)
        clients[client].waitingSince = .zero
    }

    /// Whether servers of this pool may be lent at all just now.
    @inline(__always)
    func mayLend(_ pool: PoolID) -> Bool {
        mode == .active && !databases[pools[pool].database].isPaused
    }

    /// An idle server that is fit to be lent at once. One that has rested too long is checked first, one that
    /// has lived too long is closed.
    mutating func idleServer(
        of pool: PoolID, coldest: Bool = false, now: Instant, into actions: inout ActionList
    ) -> ServerID? {
        while let slot = pools[pool].lists.idleSlot(
            roundRobin: coldest || pools[pool].settings.roundRobin),
            let server = servers.id(at: slot)
        {
            if servers[server].retirement != nil {
                closeServer(server, because: "obsolete connection", now: now, into: &actions)
                continue
            }
            if hasLivedTooLong(server, now: now) {
                closeServer(server, because: "server lifetime over", now: now, into: &actions)
                continue
            }
            if servers[server].poison != nil || !servers[server].isFree {
                closeServer(server, because: "idle server got dirty", now: now, into: &actions)
                continue
            }
            if needsCheck(server, now: now) {
                check(server, now: now, into: &actions)
                return nil
            }
            return server
        }
        return nil
    }

    /// Lends a server to a client, with the client's parameters in front of its first request. `false`: they
    /// cannot be written safely, and both are gone.
    private mutating func lend(
        _ server: ServerID, to client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        assign(server, to: client, now: now, into: &actions)
        guard servers[server].poison != nil else { return true }
        detach(client, from: server, into: &actions)
        refuse(client, .parametersRejected, now: now, into: &actions)
        closeServer(server, because: "invalid server parameter", now: now, into: &actions)
        return false
    }

    private mutating func assign(
        _ server: ServerID, to client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        let pool = servers[server].pool
        precondition(servers[server].client == nil, "a lent server was lent again")
        precondition(servers[server].isFree && servers[server].poison == nil, "an unfit server was lent")
        pools[pool].lists.move(server, to: .active, in: &roster)
        servers[server].client = client
        servers[server].epoch &+= 1
        servers[server].requestAt = now
        clients[client].phase = .active(server)
        pools[pool].counters.serverAssignments &+= 1
        if clients[client].waitingSince != .zero {
            pools[pool].counters.waitTime &+= UInt64(now.since(clients[client].waitingSince).nanoseconds)
            leaveLine(client)
        }
        if clients[client].isCongested { hold(server, .congestion, into: &actions) }
        if servers[server].parameters != clients[client].parameters {
            applyParameters(of: client, to: server, now: now, into: &actions)
        }
    }

    /// One query of ours, sent together with the client's request; its replies are swallowed.
    private mutating func applyParameters(
        of client: ClientID, to server: ServerID, now: Instant, into actions: inout ActionList
    ) {
        var sql = ByteBuffer(capacity: 256)
        let count = parameters.writeChanges(
            from: servers[server].parameters, to: clients[client].parameters, into: &sql)
        guard let count else {
            servers[server].poison("a parameter cannot be written safely")
            return
        }
        guard count > 0 else { return }
        log(.debug, server, ByteString("varcache_apply: ").appending(sql.view), into: &actions)
        servers[server].awaitsParameters = true
        forgetUnnamed(of: server)
        servers[server].replies.expect(ExpectedReply(.query, .swallow))
        actions.send(to: .server(server)) { $0.query(ByteString(sql.view)) }
    }

    // MARK: Giving back

    /// Takes server and client apart. The server is nobody's until `release` or `closeServer` decides on it.
    mutating func detach(_ client: ClientID, from server: ServerID, into actions: inout ActionList) {
        servers[server].client = nil
        servers[server].hasPartOfRequest = clients[client].restBytes > 0
        clients[client].phase = .idle
        clients[client].querySince = .zero
        clients[client].transactionSince = .zero
        if !servers[server].holds.isEmpty { unhold(server, .congestion, into: &actions) }
        if clients[client].holds.isEmpty { return }
        unhold(client, .congestion, into: &actions)
        unhold(client, .ledger, into: &actions)
        clients[client].waitsForAll = false
        clients[client].waitsBehindRest = false
        unhold(client, .cancel, into: &actions)
    }

    /// In case the last thing that kept a server with its client is gone.
    mutating func releaseIfFree(
        _ server: ServerID, of client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        guard servers[server].isFree, clients[client].restBytes == 0, !clients[client].unnamed.isPinned,
            pools[servers[server].pool].settings.mode.releasesBetweenTransactions
        else { return }
        detach(client, from: server, into: &actions)
        watchIdle(client, now: now)
        release(server, now: now, into: &actions)
    }

    /// A server without a client, between two uses: close it, fence it, reset it, or lend it on.
    mutating func release(
        _ server: ServerID, now: Instant, into actions: inout ActionList
    ) {
        let pool = servers[server].pool
        if let reason = servers[server].poison ?? servers[server].retirement {
            return closeServer(server, because: ByteString(reason), now: now, into: &actions)
        }
        if servers[server].strayReadies > 0 {
            return closeServer(server, because: "copy failed with a Sync under way", now: now, into: &actions)
        }
        if servers[server].cancels > 0 {
            // A cancel request is on its way to it: nobody may have it until that is over (I6).
            pools[pool].lists.move(server, to: .testing, in: &roster)
            return
        }
        guard servers[server].isFree else {
            return closeServer(
                server, because: "client disconnect while server was not ready", now: now, into: &actions)
        }
        if hasLivedTooLong(server, now: now) {
            return closeServer(server, because: "server lifetime over", now: now, into: &actions)
        }
        if !mayLend(pool), mode != .suspended {
            return closeServer(server, because: "pause mode", now: now, into: &actions)
        }
        if servers[server].needsFence {
            servers[server].needsFence = false
            return run("", .fence, on: server, now: now, into: &actions)
        }
        if pools[pool].settings.mode.resets(always: pools[pool].settings.resetsAlways),
            !pools[pool].settings.serverResetQuery.isEmpty
        {
            return run(pools[pool].settings.serverResetQuery, .reset, on: server, now: now, into: &actions)
        }
        lendOn(server, now: now, into: &actions)
    }

    /// A clean server: the next in line has it, or it is idle.
    mutating func lendOn(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        let pool = servers[server].pool
        if let reason = servers[server].poison ?? servers[server].retirement {
            return closeServer(server, because: ByteString(reason), now: now, into: &actions)
        }
        guard servers[server].isFree else {
            return closeServer(server, because: "idle server got dirty", now: now, into: &actions)
        }
        if pools[pool].hasSideLine, mayLend(pool),
            !pools[pool].lookups.isEmpty && serveLookup(on: server, now: now, into: &actions)
                || makeRoomForReplication(server, now: now, into: &actions)
        {
            return
        }
        if !crew.isAlone, sendsElsewhere(server, now: now, into: &actions) { return }
        if mayLend(pool), let client = nextInLine(of: pool) {
            give(server, to: client, now: now, into: &actions)
            return
        }
        if isSurplus(pool) {
            return closeServer(server, because: "too many servers in the pool", now: now, into: &actions)
        }
        servers[server].restingSince = now
        pools[pool].lists.move(server, to: .idle, in: &roster)
        watchRest(server, now: now)
        yield(pool, now: now, into: &actions)
    }

    /// The first in line that can use a server; those still waiting for their greeting get that instead.
    func nextInLine(of pool: PoolID) -> ClientID? {
        guard let slot = pools[pool].waiting.first, let client = clients.id(at: slot),
            clients[client].phase == .waiting
        else { return nil }
        return client
    }

    /// Lends idle servers to those in line, or has them checked for those. Whoever comes while the first in
    /// line waits for the outcome of a check needs the next idle server, not the one that is being checked.
    mutating func serveLine(of pool: PoolID, now: Instant, into actions: inout ActionList) {
        while mayLend(pool), nextInLine(of: pool) != nil, !pools[pool].lists[.idle].isEmpty,
            pools[pool].waiting.count > checksUnderWay(pool)
        {
            guard let server = idleServer(of: pool, now: now, into: &actions) else { continue }
            // To close another one may have served somebody.
            guard let client = nextInLine(of: pool) else { return }
            give(server, to: client, now: now, into: &actions)
        }
    }

    /// A server for a client that is in line.
    mutating func give(
        _ server: ServerID, to client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        if lend(server, to: client, now: now, into: &actions) { unhold(client, .queue, into: &actions) }
    }

    private func checksUnderWay(_ pool: PoolID) -> Int {
        var count = 0
        pools[pool].lists.forEach(.testing, in: roster) { slot in
            if let server = servers.id(at: slot), servers[server].errand == .check { count += 1 }
        }
        return count
    }

    private func isSurplus(_ pool: PoolID) -> Bool {
        if pools[pool].loans.surplus > 0 { return true }
        let size = pools[pool].settings.limits.size
        return size > 0 && pools[pool].lists.sessions > size
    }

    /// The end of a client that had logged in or was about to: whatever it held goes back or is closed.
    mutating func letGoOfServer(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        if let replication = clients[client].replication {
            return endReplication(client, replication, now: now, into: &actions)
        }
        guard let server = clients[client].server else { return }
        let isWhole = clients[client].restBytes == 0
        let owes = !servers[server].replies.isEmpty
        let owesMore = owes && servers[server].replies.batches > 1
        let isFree = servers[server].isFree && isWhole
        if !isFree {
            for reply in servers[server].replies.takeAll() { skipped(reply, from: server) }
        }
        detach(client, from: server, into: &actions)
        if isFree || servers[server].cancels > 0 && isWhole && !owes && servers[server].status == .idle {
            release(server, now: now, into: &actions)
        } else if !isWhole {
            closeServer(
                server, because: "client disconnect before everything was sent to the server", now: now,
                into: &actions)
        } else if owes {
            let reason: ByteString =
                owesMore
                ? "client disconnected with queries in progress"
                : "client disconnected with query in progress"
            closeServer(server, because: reason, now: now, into: &actions)
        } else {
            closeServer(
                server, because: "client disconnect while server was not ready", now: now, into: &actions)
        }
    }

    // MARK: Refusing and forgetting clients

    /// Says why, then closes. The text is left out when part of a server's message has reached the client
    /// (I4).
    mutating func refuse(
        _ client: ClientID, _ refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        let isInMessage = clients[client].server.map { servers[$0].isInRelayedMessage } ?? false
        refuse(client, refusal, silently: isInMessage, now: now, into: &actions)
    }

    /// `reason` is for the log, where that may know more than the client.
    mutating func refuse(
        _ client: ClientID, _ refusal: Refusal, loggedAs reason: ByteString? = nil, silently: Bool = false,
        now: Instant, into actions: inout ActionList
    ) {
        let reason = reason ?? refusal.text
        if snapshot.global.logPoolerErrors {
            log(.warning, client, ByteString("pooler error: ").appending(reason), into: &actions)
        }
        if !silently { actions.send(to: .client(client)) { refusal.write(into: &$0) } }
        forget(client, because: reason, told: true, now: now, into: &actions)
        actions.append(.close(.client(client)))
    }

    /// The client's session ends. Its handle is dead after this; the socket is for the caller to close.
    mutating func forget(
        _ client: ClientID, because reason: ByteString, told: Bool, now: Instant,
        into actions: inout ActionList
    ) {
        if snapshot.global.logDisconnections, told || clients[client].phase != .startup {
            let line = ByteString("closing because: ").appending(reason)
                .appending(age(since: clients[client].connectedAt, now))
            log(.log, client, line, into: &actions)
        }
        letGoOfServer(client, now: now, into: &actions)
        leaveLine(client)
        leaveLookup(client)
        withdrawJob(of: client)
        if clients[client].phase == .cancelRequest { endCancelRequest(client, now: now, into: &actions) }
        if clients[client].key != 0 { cancelKeys[clients[client].key] = nil }
        if clients[client].phase == .console { forgetConsole(client, now: now, into: &actions) }
        isNoStranger(client)
        leaveAddress(client)
        if !crew.isAlone { tellOfLeaving(client, into: &actions) }
        if let pool = clients[client].pool {
            pools[pool].clients -= 1
            if pools[pool].clients == 0 { pools[pool].idleSince = now }
            if let database = clients[client].database { databases[database].clients -= 1 }
            if let user = clients[client].user { users[user].clients -= 1 }
        }
        forgetStatements(of: client)
        parameters.letGo(clients[client].parameters)
        if let wishes = clients[client].login?.wishes { parameters.letGo(wishes) }
        clients.remove(client)
        clientLeft(now: now, into: &actions)
    }
}
