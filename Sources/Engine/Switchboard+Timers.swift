import Config
import Pool
public import Primitives
import Session
import Wire

/// Deadlines. A link has at most one live entry in the queue; when it comes up, the link is looked at, and
/// says when it wants to be looked at next. So a query costs no timer.
extension Switchboard {
    // MARK: Arming

    mutating func wake(_ client: ClientID, after span: TimeSpan, from start: Instant) {
        if !span.isZero { wake(client, at: start + span) }
    }

    mutating func wake(_ client: ClientID, at instant: Instant) {
        guard instant < clients[client].timerAt else { return }
        clients[client].timerAt = instant
        timers.add(.client(client), at: instant)
    }

    mutating func wake(_ server: ServerID, after span: TimeSpan, from start: Instant) {
        if !span.isZero { wake(server, at: start + span) }
    }

    mutating func wake(_ server: ServerID, at instant: Instant) {
        guard instant < servers[server].timerAt else { return }
        servers[server].timerAt = instant
        timers.add(.server(server), at: instant)
    }

    mutating func wake(_ pool: PoolID, at instant: Instant) {
        guard instant < pools[pool].timerAt else { return }
        pools[pool].timerAt = instant
        timers.add(.pool(pool), at: instant)
    }

    /// A client starts to stand in line.
    mutating func watchWait(_ client: ClientID, now: Instant) {
        let (wait, query) = waitLimits(client)
        wake(client, after: wait, from: now)
        wake(client, after: query, from: now)
        wake(client, after: snapshot.global.queryWaitNotify, from: now)
    }

    /// A client has no server now.
    mutating func watchIdle(_ client: ClientID, now: Instant) {
        clients[client].requestAt = now
        let span = idleLimit(client)
        if !span.isZero { wake(client, at: now + span) }
    }

    /// A client's transaction or query began or ended.
    mutating func watchTransaction(_ client: ClientID, _ pool: PoolID, now: Instant) {
        let settings = pools[pool].settings
        if clients[client].querySince != .zero {
            wake(client, after: settings.queryTimeout, from: clients[client].querySince)
        } else if clients[client].transactionSince != .zero {
            wake(client, after: settings.idleTransactionTimeout, from: now)
        }
        if clients[client].transactionSince != .zero {
            wake(client, after: settings.transactionTimeout, from: clients[client].transactionSince)
        }
    }

    /// A server has become idle.
    mutating func watchRest(_ server: ServerID, now: Instant) {
        let pool = servers[server].pool
        wake(server, after: pools[pool].settings.serverIdleTimeout, from: now)
        // Zero means one use, which no deadline can end.
        if !pools[pool].settings.serverLifetime.isZero {
            wake(server, at: servers[server].openedAt + pools[pool].settings.serverLifetime)
        }
    }

    /// A server runs a query of ours.
    mutating func watchErrand(_ server: ServerID, now: Instant) {
        wake(server, after: pools[servers[server].pool].settings.serverConnectTimeout, from: now)
    }

    // MARK: Coming up

    /// `nextDeadline` has come.
    public mutating func deadlinePassed(now: Instant, into actions: inout ActionList) {
        while let (owner, at) = timers.takeDue(now) {
            switch owner {
            case .client(let client):
                guard clients.contains(client), clients[client].timerAt == at else { continue }
                clients[client].timerAt = .never
                if putsOff(client, now: now) { continue }
                lookAt(client, now: now, into: &actions)
            case .server(let server):
                guard servers.contains(server), servers[server].timerAt == at else { continue }
                servers[server].timerAt = .never
                if putsOff(server, now: now) { continue }
                lookAt(server, now: now, into: &actions)
            case .pool(let pool):
                guard pools.contains(pool), pools[pool].timerAt == at else { continue }
                pools[pool].timerAt = .never
                openServers(for: pool, now: now, into: &actions)
            case .stats:
                guard at == statsPeriodEnd else { continue }
                endStatsPeriod(now: now, into: &actions)
            case .upkeep:
                timers.add(.upkeep, at: now + Limits.upkeepPeriod)
                keepUp(now: now, into: &actions)
            case .lines:
                lookAtLines(now: now, into: &actions)
            }
        }
    }

    private mutating func lookAt(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        switch clients[client].phase {
        case .startup, .authenticating, .awaitingWelcome:
            lookAtLogin(client, now: now, into: &actions)
        case .waiting:
            lookAtWait(client, now: now, into: &actions)
        case .active:
            lookAtTransaction(client, now: now, into: &actions)
        case .idle, .skipping:
            let span = idleLimit(client)
            guard !span.isZero else { return }
            if now >= clients[client].requestAt + span {
                refuse(client, .clientIdleTimeout, now: now, into: &actions)
            } else {
                wake(client, at: clients[client].requestAt + span)
            }
        case .cancelRequest:
            let span = snapshot.global.cancelWaitTimeout
            if span.isZero { return }
            guard now >= clients[client].requestAt + span else {
                return wake(client, at: clients[client].requestAt + span)
            }
            forget(client, because: "cancel_wait_timeout", told: false, now: now, into: &actions)
            actions.append(.close(.client(client)))
        case .console, .replicating:
            break
        }
    }

    private mutating func lookAtLogin(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        let span = snapshot.global.clientLoginTimeout
        if !span.isZero, now >= clients[client].connectedAt + span {
            let isServerDown = clients[client].phase == .awaitingWelcome
            return refuse(
                client, isServerDown ? .loginTimeoutServerDown : .loginTimeout, now: now, into: &actions)
        }
        wake(client, after: span, from: clients[client].connectedAt)
        if clients[client].login?.lookup != nil { return lookAtLookup(client, now: now, into: &actions) }
        if clients[client].phase == .awaitingWelcome { lookAtWait(client, now: now, into: &actions) }
    }

    private mutating func lookAtWait(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        let since = clients[client].waitingSince
        let (wait, query) = waitLimits(client)
        if !wait.isZero, now >= since + wait {
            return refuse(client, .queryWaitTimeout, now: now, into: &actions)
        }
        if !query.isZero, now >= since + query {
            return refuse(client, .queuedQueryTimeout, now: now, into: &actions)
        }
        let notify = snapshot.global.queryWaitNotify
        if !notify.isZero, !clients[client].wasNotified, clients[client].phase == .waiting {
            if now >= since + notify {
                clients[client].wasNotified = true
                actions.send(to: .client(client)) {
                    $0.report(
                        .noticeResponse, severity: "NOTICE", state: "00000",
                        text: "No server connection available in postgres backend, client being queued")
                }
            } else {
                wake(client, after: notify, from: since)
            }
        }
        wake(client, after: wait, from: since)
        wake(client, after: query, from: since)
    }

    private mutating func lookAtTransaction(
        _ client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        guard let pool = clients[client].pool, let server = clients[client].server else { return }
        let settings = pools[pool].settings
        let query = clients[client].querySince
        let transaction = clients[client].transactionSince
        if query != .zero, !settings.queryTimeout.isZero, now >= query + settings.queryTimeout {
            return endTransaction(client, server, .queryTimeout, now: now, into: &actions)
        }
        if query == .zero, transaction != .zero, !settings.idleTransactionTimeout.isZero,
            now >= servers[server].restingSince + settings.idleTransactionTimeout
        {
            return endTransaction(client, server, .idleTransactionTimeout, now: now, into: &actions)
        }
        if transaction != .zero, !settings.transactionTimeout.isZero,
            now >= transaction + settings.transactionTimeout
        {
            return endTransaction(client, server, .transactionTimeout, now: now, into: &actions)
        }
        if query != .zero {
            wake(client, after: settings.queryTimeout, from: query)
        } else if transaction != .zero {
            wake(client, after: settings.idleTransactionTimeout, from: servers[server].restingSince)
        }
        if transaction != .zero { wake(client, after: settings.transactionTimeout, from: transaction) }
    }

    private mutating func endTransaction(
        _ client: ClientID, _ server: ServerID, _ refusal: Refusal, now: Instant,
        into actions: inout ActionList
    ) {
        let isInMessage = servers[server].isInRelayedMessage
        for reply in servers[server].replies.takeAll() { skipped(reply, from: server) }
        detach(client, from: server, into: &actions)
        refuse(client, refusal, silently: isInMessage, now: now, into: &actions)
        closeServer(server, because: refusal.text, now: now, into: &actions)
    }

    private mutating func lookAt(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        let settings = pools[servers[server].pool].settings
        switch roster.state(server) {
        case .opening:
            if settings.serverConnectTimeout.isZero { return }
            guard now >= servers[server].openedAt + settings.serverConnectTimeout else {
                return wake(server, after: settings.serverConnectTimeout, from: servers[server].openedAt)
            }
            let text: ByteString = servers[server].phase == .connecting ? "connect failed" : "connect timeout"
            loginFailed(server, Refusal(text), now: now, into: &actions)
            closeServer(server, because: text, now: now, into: &actions)
        case .cancelling:
            if servers[server].phase == .cancelRequest, let victim = servers[server].victim,
                servers.contains(victim)
            {
                // It may still be delivered, to whoever is served by then.
                servers[victim].poison("a cancel request may be under way")
            }
            actions.append(.drop(.server(server)))
            forgetServer(server, because: "connect timeout", now: now, into: &actions)
        case .testing:
            let span = servers[server].errand == .lookup ? lookupLimit : settings.serverConnectTimeout
            guard servers[server].errand != .none, !span.isZero else { return }
            guard now >= servers[server].requestAt + span else {
                return wake(server, after: span, from: servers[server].requestAt)
            }
            closeServer(server, because: "test query timeout", now: now, into: &actions)
        case .idle:
            lookAtRest(server, settings, now: now, into: &actions)
        case .active, nil:
            break
        }
    }

    private mutating func lookAtRest(
        _ server: ServerID, _ settings: PoolSettings, now: Instant, into actions: inout ActionList
    ) {
        if hasLivedTooLong(server, now: now) {
            return closeServer(server, because: "server lifetime over", now: now, into: &actions)
        }
        let pool = servers[server].pool
        // A mate sends home what rests too long: the keeper knows how many there are.
        let isSpare = crew.isMate || pools[pool].lists.sessions > settings.limits.minimum
        if !settings.serverIdleTimeout.isZero, isSpare,
            now >= servers[server].restingSince + settings.serverIdleTimeout
        {
            if crew.isMate, isMovable(server) {
                return sendAway(server, to: .keeper, now: now, into: &actions)
            }
            return closeServer(server, because: "server idle timeout", now: now, into: &actions)
        }
        watchRest(server, now: isSpare ? servers[server].restingSince : now)
    }

    // MARK: Limits in force

    /// How long this client may stand in line, and how long its query may take from now, for the clients'
    /// user.
    private func waitLimits(_ client: ClientID) -> (wait: TimeSpan, query: TimeSpan) {
        guard let pool = clients[client].pool, let user = clients[client].user else { return (.zero, .zero) }
        let line = snapshot.user(named: users[user].name)
        return (line?.queryWaitTimeout ?? pools[pool].settings.queryWaitTimeout, snapshot.global.queryTimeout)
    }

    private func idleLimit(_ client: ClientID) -> TimeSpan {
        guard hasIdleLimits, let user = clients[client].user else { return snapshot.global.clientIdleTimeout }
        return snapshot.user(named: users[user].name)?.clientIdleTimeout ?? snapshot.global.clientIdleTimeout
    }

    // MARK: Upkeep

    /// Looks after what no event announces: minimum sizes, and databases that only `*` knows and nobody uses.
    private mutating func keepUp(now: Instant, into actions: inout ActionList) {
        endFlushing(now: now, into: &actions)
        if !isFlushing { answerSuspension(into: &actions) }
        for pool in poolIDs {
            keepUp(pool, now: now, into: &actions)
            dropIfUnused(pool, now: now, into: &actions)
        }
        forgetOldLookups(now: now)
        forgetUnusedDatabases(now: now, into: &actions)
        endWaits(now: now, into: &actions)
    }

    /// `pool_idle_timeout`: a pool that nobody has used for that long is forgotten, unless it keeps a minimum
    /// of servers without clients.
    private mutating func dropIfUnused(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        let limit = snapshot.global.poolIdleTimeout
        guard !limit.isZero, pool != consolePool, pools[pool].clients == 0, pools[pool].lists.sessions == 0,
            pools[pool].lists[.cancelling].isEmpty, pools[pool].waiting.isEmpty, !hasLine(pool),
            now >= pools[pool].idleSince + limit
        else { return }
        let database = pools[pool].database
        let user = pools[pool].user
        if databases[database].entry.user != nil, pools[pool].settings.limits.minimum > 0 { return }
        let line = ByteString("cleaning up idle pool for user ").appending(users[user].name)
            .appending(" on db ").appending(databases[database].name)
            .appending(" because: pool idle timeout")
            .appending(ByteString(" (age= \(now.since(pools[pool].idleSince).wholeSeconds)s)"))
        log(.log, line, into: &actions)
        forget(pool)
    }

    mutating func keepUp(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        guard pool != consolePool else { return }
        for server in idleServers(of: pool) {
            if let reason = servers[server].retirement {
                closeServer(server, because: ByteString(reason), now: now, into: &actions)
            } else if pools[pool].settings.limits.size > 0,
                pools[pool].lists.sessions > pools[pool].settings.limits.size
            {
                closeServer(server, because: "too many servers in the pool", now: now, into: &actions)
            }
        }
        if crew.isKeeper { shed(pool, into: &actions) }
        openServers(for: pool, now: now, into: &actions)
    }

    func idleServers(of pool: PoolID) -> [ServerID] {
        var idle: [ServerID] = []
        pools[pool].lists.forEach(.idle, in: roster) { slot in
            if let server = servers.id(at: slot) { idle.append(server) }
        }
        return idle
    }

    // MARK: Statistics

    /// The period that began then ends when the setting says.
    mutating func armStats(from start: Instant) {
        let period = snapshot.global.statsPeriod
        statsPeriodEnd = period.isZero ? .never : start + period
        if period.isZero { return }
        timers.add(.stats, at: statsPeriodEnd)
    }

    private mutating func endStatsPeriod(now: Instant, into actions: inout ActionList) {
        armStats(from: now)
        lastPeriodSpan = now.since(statsPeriodStart)
        statsPeriodStart = now
        busyLastPeriod = busyNanoseconds &- busyAtPeriodStart
        busyAtPeriodStart = busyNanoseconds
        for pool in poolIDs {
            let counters = pools[pool].counters
            pools[pool].lastPeriod = counters.since(pools[pool].atPeriodStart)
            pools[pool].atPeriodStart = counters
        }
        if crew.isMate { return tellOfPeriod(into: &actions) }
        lastPeriodElsewhere = periodElsewhere
        periodElsewhere = PoolCounters()
        if snapshot.global.logStats { log(.log, ByteString(statsText), into: &actions) }
    }

    /// The averages of the last whole period, as the log and the service manager are told. What other workers
    /// did is told by them at the end of theirs: it may stand in the next period's, but is never lost.
    public var statsText: String {
        var sum = lastPeriodElsewhere
        for pool in poolIDs { sum.add(pools[pool].lastPeriod) }
        let seconds = max(1, lastPeriodSpan.wholeSeconds)
        let per = { (count: UInt64) in count / UInt64(seconds) }
        let average = { (nanoseconds: UInt64, count: UInt64) in count == 0 ? 0 : nanoseconds / 1000 / count }
        return """
            stats: \(per(sum.transactions)) xacts/s, \(per(sum.queries)) queries/s, \
            \(per(sum.clientParses)) client parses/s, \(per(sum.serverParses)) server parses/s, \
            \(per(sum.binds)) binds/s, \(per(sum.clientLogins)) client logins/s, \
            in \(per(sum.bytesFromClients)) B/s, out \(per(sum.bytesFromServers)) B/s, \
            xact \(average(sum.transactionTime, sum.transactions)) us, \
            query \(average(sum.queryTime, sum.queries)) us, wait \(per(sum.waitTime / 1000)) us
            """
    }
}

extension PoolCounters {
    /// The change from an earlier reading.
    public func since(_ earlier: PoolCounters) -> PoolCounters {
        var change = PoolCounters()
        for path in Self.fields { change[keyPath: path] = self[keyPath: path] &- earlier[keyPath: path] }
        return change
    }

    public mutating func add(_ other: PoolCounters) {
        for path in Self.fields { self[keyPath: path] &+= other[keyPath: path] }
    }

    private static var fields: [WritableKeyPath<PoolCounters, UInt64>] {
        [
            \.serverAssignments, \.transactions, \.queries, \.bytesFromClients, \.bytesFromServers,
            \.transactionTime, \.queryTime, \.waitTime, \.clientParses, \.serverParses, \.binds,
            \.clientLogins,
        ]
    }
}
