import Auth
public import Config
import Pool
public import Primitives
public import Session
import Wire

/// What operators want: reload, pause, kill, reconnect, shut down. The console and the signals end up here.
extension Switchboard {
    // MARK: Configuration

    /// A new configuration is in force.
    public mutating func reloaded(
        _ new: Snapshot, for console: ClientID?, now: Instant, into actions: inout ActionList
    ) {
        put(new, inForce: now, into: &actions)
        guard let console else { return }
        consoleWaits.append((console, .reload))
        endWaits(now: now, into: &actions)
    }

    /// The new configuration was refused; the old one stays. The driver has logged why.
    public mutating func reloadFailed(for console: ClientID?, now: Instant, into actions: inout ActionList) {
        if let console { consoleNews.append(ConsoleNews(client: console, wait: .reload, outcome: .failed)) }
    }

    /// One global setting changed on the console: in force until the next reload. `keepsTLS`: the driver
    /// cannot do what the settings of TLS ask for, and goes on as before.
    public mutating func put(
        _ new: Snapshot, inForce now: Instant, keepsTLS: Bool = false, into actions: inout ActionList
    ) {
        let old = snapshot
        snapshot = new
        if crew.isKeeper {
            era &+= 1
            configurationEra = era
        }
        broadcast(.put(new, era: era, keepsTLS: keepsTLS), into: &actions)
        if !keepsTLS {
            tlsForClients = new.global.clientTLSSSLMode
            tlsForServers = new.global.serverTLSSSLMode
        }
        adopt(new, now: now)
        forgetAnsweredLookups()
        dropPasswords()
        if new.global.statsPeriod != old.global.statsPeriod { armStats(from: statsPeriodStart) }
        retarget(SnapshotDiff(from: old, to: new), now: now, into: &actions)
        for pool in poolIDs where pool != consolePool {
            pools[pool].settings = PoolSettings(
                new, database: databases[pools[pool].database].entry, user: users[pools[pool].user].name)
            rearm(pool, now: now)
            keepUp(pool, now: now, into: &actions)
        }
        for client in clientIDs where clients.contains(client) && clients[client].isLoggedIn {
            rearm(client, now: now)
        }
    }

    /// Takes databases, users and secrets from a configuration; what is in use stays in use.
    mutating func adopt(_ new: Snapshot, now: Instant) {
        hasIdleLimits = new.users.contains { $0.clientIdleTimeout != nil }
        for entry in new.databases {
            if let known = entry.name.withView({ databaseNames.value($0) }) {
                databases[known].entry = entry
                databases[known].isAutomatic = false
                databases[known].isRemoved = false
            } else if let database = databases.insert(
                Database(name: entry.name, entry: entry, isAutomatic: false, now: now))
            {
                _ = entry.name.withView { databaseNames.set($0, to: database) }
            }
        }
        for database in databaseIDs where new.database(named: databases[database].name) == nil {
            if databases[database].name == Self.consoleName { continue }
            if databases[database].isAutomatic, var entry = new.autoDatabase {
                entry.name = databases[database].name
                databases[database].entry = entry
            } else {
                databases[database].isRemoved = true
            }
        }
        for entry in new.databases { addForcedPool(entry, now: now) }
        for (name, text) in new.secrets { adopt(name, Secret(text)) }
        for entry in new.users { _ = findUser(entry.name) }
        for user in userIDs where new.secrets[users[user].name] == nil { users[user].secret = nil }
    }

    /// A database with a forced user keeps its minimum of servers without any client.
    private mutating func addForcedPool(_ entry: DatabaseEntry, now: Instant) {
        guard entry.minPoolSize ?? snapshot.global.minPoolSize > 0, let forced = entry.user,
            let user = findUser(forced), let database = entry.name.withView({ databaseNames.value($0) })
        else { return }
        _ = findPool(database, user, now: now)
    }

    private mutating func adopt(_ name: ByteString, _ secret: Secret) {
        guard let user = findUser(name) else { return }
        if let old = users[user].secret, old.isSame(as: secret) { return }
        users[user].secret = secret
        users[user].keys = nil
    }

    /// Servers of databases that lie elsewhere now are replaced when they are free; clients of databases that
    /// are gone go.
    private mutating func retarget(
        _ difference: SnapshotDiff, now: Instant, into actions: inout ActionList
    ) {
        if !crew.isMate {
            for name in difference.databases.removed where database(named: name) != nil {
                logDropping(name, into: &actions)
            }
        }
        for database in databaseIDs where databases[database].isRemoved {
            killHere(database, because: .databaseRemoved, now: now, into: &actions)
        }
        let recyclesAll = difference.recyclesPools
        for pool in poolIDs where pool != consolePool {
            let database = pools[pool].database
            let isRetargeted =
                difference.retargetedDatabases.contains(databases[database].name)
                || databases[database].isAutomatic && difference.autoDatabase == .retargeted
            if isRetargeted || recyclesAll { reconnect(pool, now: now, into: &actions) }
        }
    }

    private mutating func rearm(_ pool: PoolID, now: Instant) {
        for server in serverIDs
        where servers.contains(server) && servers[server].pool == pool && roster.state(server) == .idle {
            watchRest(server, now: servers[server].restingSince)
        }
    }

    private mutating func rearm(_ client: ClientID, now: Instant) {
        guard let pool = clients[client].pool else { return }
        switch clients[client].phase {
        case .waiting:
            watchWait(client, now: clients[client].waitingSince)
        case .active:
            watchTransaction(client, pool, now: now)
        case .idle, .skipping:
            let since = clients[client].requestAt
            watchIdle(client, now: since)
        case .startup, .authenticating, .awaitingWelcome, .replicating, .console, .cancelRequest:
            break
        }
    }

    // MARK: Pause and resume

    /// `nil`: everything. The answer comes as console news when no server is in use.
    public mutating func pause(
        _ database: DatabaseID?, for console: ClientID?, now: Instant, into actions: inout ActionList
    ) {
        broadcast(.pause(database.map { databases[$0].name }), into: &actions)
        if let database { databases[database].isPaused = true } else { mode = .paused }
        for pool in poolIDs(of: database) where pool != consolePool { settle(pool, now: now, into: &actions) }
        if let console { consoleWaits.append((console, .pause(database))) }
        endWaits(now: now, into: &actions)
    }

    /// Closes what is idle, so that PostgreSQL can be restarted.
    private mutating func settle(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        for server in serverIDs where servers.contains(server) && servers[server].pool == pool {
            guard let state = roster.state(server) else { continue }
            switch state {
            case .idle, .opening: closeServer(server, because: "pause mode", now: now, into: &actions)
            case .active, .testing, .cancelling: break
            }
        }
    }

    public mutating func resume(_ database: DatabaseID?, now: Instant, into actions: inout ActionList) {
        broadcast(.resume(database.map { databases[$0].name }), into: &actions)
        if let database {
            databases[database].isPaused = false
        } else {
            let wasSuspended = mode == .suspended
            mode = .active
            if wasSuspended { liftSuspension(into: &actions) }
            handsOverWithState = nil
        }
        for pool in poolIDs(of: database) where pool != consolePool {
            openServers(for: pool, now: now, into: &actions)
        }
    }

    /// Answers the waiting commands whose time has come.
    mutating func endWaits(now: Instant, into actions: inout ActionList) {
        guard !consoleWaits.isEmpty else { return }
        var open: [(client: ClientID, wait: ConsoleWait)] = []
        for (client, wait) in consoleWaits where clients.contains(client) {
            if isOver(wait, now: now) {
                consoleNews.append(ConsoleNews(client: client, wait: wait, outcome: .done))
            } else {
                open.append((client, wait))
            }
        }
        consoleWaits = open
    }

    private func isOver(_ wait: ConsoleWait, now: Instant) -> Bool {
        switch wait {
        case .pause(let database): !hasServersInUse(of: database)
        case .close(let database): !hasRetiringServers(of: database)
        case .suspend:
            !isFlushing && !awaitsLogins(now: now) && haveAllMates(flushedElsewhere, suspensionCount)
        case .reload: haveAllMates(appliedElsewhere, configurationEra)
        case .shutdown: false
        }
    }

    private func hasServersInUse(of database: DatabaseID?) -> Bool {
        poolIDs(of: database).contains {
            pools[$0].lists[.active].count + pools[$0].lists[.testing].count + pools[$0].lists.lent > 0
        }
    }

    private func hasRetiringServers(of database: DatabaseID?) -> Bool {
        serverIDs.contains {
            servers[$0].retirement != nil
                && (database == nil || pools[servers[$0].pool].database == database)
        } || !crew.isAlone && poolIDs(of: database).contains { pools[$0].loans.retiringElsewhere > 0 }
    }

    mutating func cancelConsole(_ client: ClientID) {
        for (waiting, wait) in consoleWaits where waiting == client {
            consoleNews.append(ConsoleNews(client: client, wait: wait, outcome: .cancelled))
        }
        consoleWaits.removeAll { $0.client == client }
    }

    // MARK: Kill, disable, reconnect

    /// Drops every client and server of the database at once; it stays paused until RESUME.
    public mutating func kill(
        _ database: DatabaseID, because refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        if crew.isKeeper { era &+= 1 }
        broadcast(.kill(databases[database].name, refusal, era: era), into: &actions)
        killHere(database, because: refusal, now: now, into: &actions)
    }

    private mutating func killHere(
        _ database: DatabaseID, because refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        for pool in poolIDs(of: database) { retireThoseElsewhere(of: pool) }
        databases[database].isPaused = !databases[database].isRemoved
        for client in clientIDs
        where clients.contains(client) && clients[client].database == database
            && clients[client].phase != .console
        {
            guard clients.contains(client), clients[client].pool != nil else { continue }
            refuse(client, refusal, now: now, into: &actions)
        }
        for server in serverIDs
        where servers.contains(server) && pools[servers[server].pool].database == database {
            closeServer(server, because: refusal.text, now: now, into: &actions)
        }
    }

    public mutating func kill(
        _ client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        if let server = clients[client].server {
            for reply in servers[server].replies.takeAll() { skipped(reply, from: server) }
            let isInMessage = servers[server].isInRelayedMessage
            detach(client, from: server, into: &actions)
            refuse(client, .killed, silently: isInMessage, now: now, into: &actions)
            closeServer(server, because: Refusal.killed.text, now: now, into: &actions)
        } else {
            refuse(client, .killed, now: now, into: &actions)
        }
    }

    public mutating func setDisabled(
        _ database: DatabaseID, _ isDisabled: Bool, into actions: inout ActionList
    ) {
        broadcast(.disable(databases[database].name, isDisabled), into: &actions)
        databases[database].isDisabled = isDisabled
    }

    /// Replaces every server when it is free.
    public mutating func reconnect(
        _ database: DatabaseID?, now: Instant, into actions: inout ActionList
    ) {
        if crew.isKeeper { era &+= 1 }
        broadcast(.reconnect(database.map { databases[$0].name }, era: era), into: &actions)
        for pool in poolIDs(of: database) where pool != consolePool {
            reconnect(pool, now: now, into: &actions)
        }
    }

    private mutating func reconnect(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        if let welcome = pools[pool].welcome {
            parameters.letGo(welcome.base)
            pools[pool].welcome = nil
        }
        retireThoseElsewhere(of: pool)
        for server in serverIDs where servers.contains(server) && servers[server].pool == pool {
            switch roster.state(server) {
            case .opening:
                closeServer(server, because: "connect string changed", now: now, into: &actions)
            case .idle, .active, .testing:
                servers[server].retirement = "database configuration changed"
                if servers[server].phase == .replicating, let client = servers[server].client {
                    endSession(client, server, now: now, into: &actions)
                    continue
                }
                if let client = servers[server].client, closesFast(server), servers[server].isFree,
                    !pools[pool].settings.mode.releasesBetweenTransactions
                {
                    endSession(client, server, now: now, into: &actions)
                }
            case .cancelling, nil:
                break
            }
        }
        keepUp(pool, now: now, into: &actions)
    }

    /// A name leads elsewhere: servers at addresses that it has no longer are replaced when they are free.
    public mutating func moved(_ host: MovedHost, now: Instant, into actions: inout ActionList) {
        if crew.isKeeper {
            era &+= 1
            movedHosts[host.name] = (host, era)
        }
        broadcast(.moved(host, era: era), into: &actions)
        var touched: Set<PoolID> = []
        for server in serverIDs where servers.contains(server) && isElsewhere(server, than: host) {
            switch roster.state(server) {
            case .idle, .active, .testing:
                servers[server].retirement = "obsolete connection"
                touched.insert(servers[server].pool)
            case .opening, .cancelling, nil: break
            }
        }
        for pool in poolIDs where touched.contains(pool) { keepUp(pool, now: now, into: &actions) }
    }

    /// Whether this server is at an address that the name it was reached by has no longer.
    func isElsewhere(_ server: ServerID, than host: MovedHost) -> Bool {
        guard servers[server].endpoint.host == host.name, servers[server].retirement == nil,
            let remote = servers[server].remote, remote.family != .unix
        else { return false }
        return !host.addresses.contains { $0.host == remote.host }
    }

    public mutating func waitForClose(
        _ database: DatabaseID?, for console: ClientID, now: Instant, into actions: inout ActionList
    ) {
        consoleWaits.append((console, .close(database)))
        endWaits(now: now, into: &actions)
    }

    // MARK: Signals and the end

    /// A signal that asks for something.
    public mutating func signalled(_ order: SignalOrder, now: Instant, into actions: inout ActionList) {
        switch order {
        case .reload:
            log(.log, "got SIGHUP, re-reading config", into: &actions)
            actions.append(.reload(nil))
        case .shutdownWaitForClients:
            if shutdown != .none { return fastExit("SIGTERM", into: &actions) }
            log(.log, "got SIGTERM, shutting down, waiting for all clients disconnect", into: &actions)
            shutDown(.waitForClients, now: now, into: &actions)
        case .shutdownWaitForServers:
            if shutdown != .none { return fastExit("SIGINT", into: &actions) }
            log(
                .log, "got SIGINT, shutting down, waiting for all servers connections to be released",
                into: &actions)
            shutDown(.waitForServers, now: now, into: &actions)
        case .shutdownNow:
            log(.log, "got SIGQUIT, fast exit", into: &actions)
            actions.append(.exit)
        case .pause:
            if shutdown != .none {
                log(.log, "got SIGUSR1 while shutting down, ignoring", into: &actions)
            } else if mode == .active {
                log(.log, "got SIGUSR1, pausing all activity", into: &actions)
                pause(nil, for: nil, now: now, into: &actions)
            } else {
                log(.log, "got SIGUSR1, but already paused/suspended", into: &actions)
            }
        case .resume:
            if shutdown != .none {
                log(.log, "got SIGUSR2 while shutting down, ignoring", into: &actions)
            } else if mode == .active {
                log(.log, "got SIGUSR2, but not paused/suspended", into: &actions)
            } else {
                let from: ByteString = mode == .paused ? "PAUSE" : "SUSPEND"
                log(.log, ByteString("got SIGUSR2, continuing from ").appending(from), into: &actions)
                resume(nil, now: now, into: &actions)
            }
        }
    }

    private mutating func fastExit(_ signal: ByteString, into actions: inout ActionList) {
        log(
            .log, ByteString("got ").appending(signal).appending(" while shutting down, fast exit"),
            into: &actions)
        actions.append(.exit)
    }

    public mutating func shutDown(
        _ how: ShutdownMode, now: Instant, into actions: inout ActionList
    ) {
        shutdown = how
        if how != .none, mode == .suspended { resume(nil, now: now, into: &actions) }
        broadcast(.shutDown(how), into: &actions)
        switch how {
        case .none:
            if crew.isMate { return }
            partWithThoseLeftBehind(now: now, into: &actions)
            actions.append(.exit)
        case .waitForClients:
            actions.append(.stopListening(.tcp))
            clientLeft(now: now, into: &actions)
        case .waitForServers:
            actions.append(.stopListening(.tcp))
            mode = .paused
            for client in clientIDs
            where clients.contains(client) && clients[client].phase == .waiting
                || clients[client].phase == .awaitingWelcome || clients[client].login?.lookup != nil
            {
                refuse(client, .serverShutdown, now: now, into: &actions)
            }
            for pool in poolIDs where pool != consolePool { settle(pool, now: now, into: &actions) }
            serverLeft(now: now, into: &actions)
        }
    }

    mutating func clientLeft(now: Instant, into actions: inout ActionList) {
        // Who waits for the end on the console is not waited for.
        let waiting = consoleWaits.reduce(0) { $0 + ($1.wait == .shutdown ? 1 : 0) }
        guard shutdown == .waitForClients, clients.count == waiting, !isExiting, !crew.isMate,
            crew.isAlone || connectionsElsewhere.allSatisfy({ $0 == 0 })
        else { return }
        isExiting = true
        log(.log, "client connections dropped, exiting", into: &actions)
        actions.append(.exit)
    }

    mutating func serverLeft(now: Instant, into actions: inout ActionList) {
        endWaits(now: now, into: &actions)
        guard shutdown == .waitForServers, servers.count == 0, lentServers == 0, !isExiting, !crew.isMate
        else { return }
        isExiting = true
        log(.log, "server connections dropped, exiting", into: &actions)
        actions.append(.exit)
    }

    // MARK: Console clients

    /// A console client's bytes are messages for the console, whole ones only.
    mutating func consoleMessage(
        _ bytes: ByteView, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Int {
        switch bytes.frame(at: 0, limitBytes: UInt32(Limits.consoleMessageBytes)) {
        case .incomplete:
            return 0
        case .malformed:
            refuse(client, .badHeader(bytes), now: now, into: &actions)
            return bytes.count
        case .header(let header):
            guard bytes.count >= header.messageBytes else { return 0 }
            guard let kind = ClientMessageKind(rawValue: header.kind), kind != .password else {
                refuse(client, .unknownMessage, now: now, into: &actions)
                return bytes.count
            }
            if kind == .terminate {
                forget(client, because: "client close request", told: false, now: now, into: &actions)
                actions.append(.close(.client(client)))
                return bytes.count
            }
            let body = bytes.slice(FrameHeader.byteCount, header.messageBytes - FrameHeader.byteCount)
            consoleMessages.append(
                ConsoleMessage(client: client, kind: header.kind, body: ByteString(body)))
            clients[client].requestAt = now
            return header.messageBytes
        }
    }

    /// The console waits for something: this client is not read until it has answered.
    public mutating func consoleIsBusy(_ client: ClientID, into actions: inout ActionList) {
        hold(client, .console, into: &actions)
    }

    public mutating func consoleIsReady(_ client: ClientID, into actions: inout ActionList) {
        unhold(client, .console, into: &actions)
    }

    mutating func forgetConsole(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        consoleClients -= 1
        consoleWaits.removeAll { $0.client == client }
        if let user = clients[client].user { users[user].clients -= 1 }
        if let database = clients[client].database { databases[database].clients -= 1 }
        resumeWithoutConsole(now: now, into: &actions)
    }

    mutating func countConsoleLogin() {
        guard let consolePool else { return }
        pools[consolePool].counters.clientLogins &+= 1
        pools[consolePool].counters.transactions &+= 1
        pools[consolePool].counters.queries &+= 1
    }
}
