import Auth
import Config
import Pool
import Primitives
import Session
import Wire

/// auth_query: what a server knows of users that auth_file does not name.
///
/// A lookup runs on a server of the pool (auth_dbname, auth_user) that has never been lent to a client, so
/// that nothing a client has set can reach it; the name travels as a parameter. Everybody who wants to know
/// the same shares one lookup, and only they wait for it.
extension Switchboard {
    /// Where a login has its user looked up.
    enum LookupPlace {
        /// Nowhere: auth_file is all there is.
        case none
        case key(LookupKey, PoolID)
        /// The configuration asks for what cannot be.
        case refused(Refusal, reason: ByteString)
    }

    // MARK: Where

    /// Where users of this login's database are looked up (auth_user, auth_dbname and auth_query of the
    /// database, or else the global ones).
    mutating func lookupPlace(
        for login: ClientLogin, now: Instant, into actions: inout ActionList
    ) -> LookupPlace {
        let isConsole = login.database == Self.consoleName
        let entry = isConsole ? nil : entry(for: login.database)
        // A database that does not exist says so only to those who have proved who they are.
        if entry == nil, !isConsole { return .none }
        guard let authUser = entry?.authUser ?? snapshot.global.authUser else { return .none }
        let name = entry?.authDbname ?? snapshot.global.authDbname ?? login.database
        if name == Self.consoleName {
            return .refused(
                .badConfiguration, reason: "cannot use the reserved \"pgbouncer\" database as an auth_dbname")
        }
        guard let database = findDatabase(name, now: now, into: &actions) else {
            let reason = ByteString("authentication database \"").appending(name)
                .appending("\" is not configured.")
            return .refused(.badConfiguration, reason: reason)
        }
        if databases[database].isDisabled {
            return .refused(.disabledAuthDatabase(name), reason: "")
        }
        databases[database].lastUsed = now
        guard let user = findUser(authUser), let pool = findPool(database, user, now: now) else {
            return .refused(.outOfRoom, reason: "")
        }
        let query = Self.pinned(entry?.authQuery ?? snapshot.global.authQuery)
        return .key(LookupKey(database: database, user: user, query: query, name: login.user), pool)
    }

    /// What holds for a database of this name. Nothing is registered for a stranger's wish.
    private func entry(for name: ByteString) -> DatabaseEntry? {
        if let known = name.withView({ databaseNames.value($0) }), !databases[known].isRemoved {
            return databases[known].entry
        }
        return snapshot.autoDatabase
    }

    /// The default query with every name qualified, so that whatever stands in the search_path of auth_user
    /// cannot get between; a query of the operator's own as it is.
    private static func pinned(_ query: ByteString) -> ByteString {
        guard query == GlobalSettings().authQuery else { return query }
        return """
            SELECT rolname, CASE WHEN rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.now() THEN NULL \
            ELSE rolpassword END FROM pg_catalog.pg_authid \
            WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin
            """
    }

    // MARK: Asking

    /// Has the user of this login looked up: `lookedUp` follows, at once when the answer is known.
    mutating func startLookup(
        _ client: ClientID, _ key: LookupKey, in pool: PoolID, now: Instant, into actions: inout ActionList
    ) {
        forgetOldLookups(now: now)
        let known = lookupNames[key]
        if let known, let answer = lookups[known].answer {
            clients[client].login?.isAnswerOld = true
            return lookedUp(client, answer, by: known, now: now, into: &actions)
        }
        if shutdown == .waitForServers { return refuse(client, .serverShutdown, now: now, into: &actions) }
        if known == nil, let failure = failure(of: pool, now: now) {
            return refuse(client, Self.forStrangers(failure), now: now, into: &actions)
        }
        guard let lookup = known ?? lookups.insert(Lookup(key: key, pool: pool, since: now)) else {
            return refuse(client, .outOfRoom, now: now, into: &actions)
        }
        clients[client].phase = .authenticating
        clients[client].login?.lookup = lookup
        clients[client].login?.lookupSince = now
        lookups[lookup].asking.append(client)
        hold(client, .login, into: &actions)
        wake(client, after: lookupWait(pool), from: now)
        guard known == nil else { return }
        lookupNames[key] = lookup
        pools[pool].lookups.append(lookup)
        openServers(for: pool, now: now, into: &actions)
    }

    /// How long a login may wait for a server to look its user up.
    private func lookupWait(_ pool: PoolID) -> TimeSpan { pools[pool].settings.queryWaitTimeout }

    /// How long a server may take for a lookup.
    var lookupLimit: TimeSpan {
        let span = snapshot.global.clientLoginTimeout
        return span.isZero ? snapshot.global.serverConnectTimeout : span
    }

    /// The deadline of a client whose user is being looked up.
    mutating func lookAtLookup(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        guard let login = clients[client].login, let lookup = login.lookup else { return }
        let wait = lookupWait(lookups[lookup].pool)
        guard !wait.isZero, lookups[lookup].phase == .inLine else { return }
        if now >= login.lookupSince + wait {
            refuse(client, .queryWaitTimeout, now: now, into: &actions)
        } else {
            wake(client, at: login.lookupSince + wait)
        }
    }

    /// The client goes, whatever the answer will be.
    mutating func leaveLookup(_ client: ClientID) {
        guard let lookup = clients[client].login?.lookup else { return }
        clients[client].login?.lookup = nil
        lookups[lookup].asking.removeAll { $0 == client }
        if lookups[lookup].asking.isEmpty, lookups[lookup].phase == .inLine { removeLookup(lookup) }
    }

    // MARK: A server for it

    /// Gives those in line the idle servers that no client has had. Where only others are left in a full
    /// pool, one of them makes room.
    mutating func serveLookups(of pool: PoolID, now: Instant, into actions: inout ActionList) {
        for server in idleServers(of: pool) where !pools[pool].lookups.isEmpty {
            if isUntouched(server), !hasLivedTooLong(server, now: now) {
                run(pools[pool].lookups.removeFirst(), on: server, now: now, into: &actions)
            }
        }
        let isComing = pools[pool].lists[.opening].count + pools[pool].lists[.testing].count > 0
        guard !pools[pool].lookups.isEmpty, !isComing, mustMakeRoom(pool),
            let server = idleServers(of: pool).first
        else { return }
        isMakingRoom = true
        closeServer(server, because: "making room for auth_query", now: now, into: &actions)
        isMakingRoom = false
    }

    /// Whether no new server can come while this one is there. A worker that does not open servers has to
    /// suppose so.
    private func mustMakeRoom(_ pool: PoolID) -> Bool {
        let size = pools[pool].settings.limits.size
        return crew.isMate || size > 0 && pools[pool].lists.sessions >= size
    }

    /// A server of a pool with lookups in line is free. `true`: it has been dealt with.
    mutating func serveLookup(
        on server: ServerID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        let pool = servers[server].pool
        if isUntouched(server) {
            run(pools[pool].lookups.removeFirst(), on: server, now: now, into: &actions)
            return true
        }
        let isComing = pools[pool].lists[.opening].count > 0
        guard !isComing, mustMakeRoom(pool) else { return false }
        closeServer(server, because: "making room for auth_query", now: now, into: &actions)
        return true
    }

    /// No client has ever had it, so no setting of a client is in force on it.
    private func isUntouched(_ server: ServerID) -> Bool {
        servers[server].epoch == 0 && servers[server].poison == nil && servers[server].retirement == nil
            && servers[server].isFree
    }

    /// Sends the query: extended protocol, the name as a parameter, results as text.
    private mutating func run(
        _ lookup: LookupID, on server: ServerID, now: Instant, into actions: inout ActionList
    ) {
        pools[servers[server].pool].lists.move(server, to: .testing, in: &roster)
        servers[server].errand = .lookup
        servers[server].lookup = lookup
        servers[server].requestAt = now
        lookups[lookup].phase = .running(server)
        pools[servers[server].pool].runningLookups += 1
        lookups[lookup].reader = LookupReader(name: lookups[lookup].key.name)
        forgetUnnamed(of: server)
        let key = lookups[lookup].key
        actions.send(to: .server(server)) {
            $0.message(.parse) {
                $0.append(0)
                $0.append(cString: key.query)
                $0.append(uint16: 0)
            }
            $0.message(.bind) {
                $0.append(uint16: 0)
                $0.append(uint16: 0)
                $0.append(uint16: 1)
                $0.append(uint32: UInt32(truncatingIfNeeded: key.name.count))
                $0.append(key.name)
                $0.append(uint16: 0)
            }
            $0.message(.execute) {
                $0.append(0)
                $0.append(uint32: 0)
            }
            $0.message(.sync)
        }
        wake(server, after: lookupLimit, from: now)
    }

    // MARK: The answer

    /// Bytes of a server that runs a lookup. The number consumed.
    mutating func lookupReplies(
        _ bytes: ByteView, from server: ServerID, now: Instant, into actions: inout ActionList
    ) -> Int {
        var offset = 0
        while let lookup = servers[server].lookup {
            let header: FrameHeader
            switch bytes.frame(at: offset, limitBytes: UInt32(Limits.lookupMessageBytes)) {
            case .incomplete: return offset
            case .malformed:
                lookupBroke(server, now: now, into: &actions)
                return bytes.count
            case .header(let found): header = found
            }
            guard bytes.count - offset >= header.messageBytes else { return offset }
            let kind = ServerMessageKind(rawValue: header.kind)
            let body = bytes.slice(
                offset + FrameHeader.byteCount, header.messageBytes - FrameHeader.byteCount)
            offset += header.messageBytes
            if kind == .parameterStatus { _ = follow(body, on: server, for: nil) }
            switch lookups[lookup].reader.take(kind, body) {
            case .goOn:
                continue
            case .broken:
                lookupBroke(server, now: now, into: &actions)
                return bytes.count
            case .done:
                if offset < bytes.count { servers[server].poison("unexpected message between queries") }
                lookupEnded(lookup, on: server, now: now, into: &actions)
                return bytes.count
            }
        }
        return bytes.count
    }

    private mutating func lookupBroke(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        servers[server].poison("protocol violation")
        log(.warning, server, "unexpected answer to auth_query", into: &actions)
        closeServer(server, because: "unknown pkt", now: now, into: &actions)
    }

    private mutating func lookupEnded(
        _ lookup: LookupID, on server: ServerID, now: Instant, into actions: inout ActionList
    ) {
        servers[server].lookup = nil
        pools[lookups[lookup].pool].runningLookups -= 1
        servers[server].restingSince = now
        if let problem = lookups[lookup].reader.problem { log(.error, server, problem, into: &actions) }
        answer(lookup, lookups[lookup].reader.answer, now: now, into: &actions)
        finishErrand(server, now: now, into: &actions)
    }

    /// The server that had the lookup is gone. Another one is asked, once: it may have died of old age.
    mutating func lookupLostServer(_ lookup: LookupID, now: Instant, into actions: inout ActionList) {
        lookups[lookup].lostServers += 1
        pools[lookups[lookup].pool].runningLookups -= 1
        if let problem = lookups[lookup].reader.problem {
            log(.error, problem, into: &actions)
            return answer(lookup, lookups[lookup].reader.answer, now: now, into: &actions)
        }
        guard lookups[lookup].lostServers < 2, !lookups[lookup].asking.isEmpty,
            shutdown != .waitForServers
        else { return answer(lookup, .failed(.serverCrashed), now: now, into: &actions) }
        lookups[lookup].phase = .inLine
        let pool = lookups[lookup].pool
        pools[pool].lookups.insert(lookup, at: 0)
        openServers(for: pool, now: now, into: &actions)
    }

    /// Logins to the auth server fail.
    mutating func failLookups(
        of pool: PoolID, _ refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        while let lookup = pools[pool].lookups.first {
            pools[pool].lookups.removeFirst()
            answer(lookup, .failed(Self.forStrangers(refusal)), now: now, into: &actions)
        }
    }

    /// What somebody who has proved nothing yet may hear of a failed login to the auth server: not whether
    /// auth_user's password is right.
    private static func forStrangers(_ refusal: Refusal) -> Refusal {
        refusal.state.bytes.starts(with: [0x32, 0x38]) ? .badConfiguration : refusal
    }

    private mutating func answer(
        _ lookup: LookupID, _ answer: LookupAnswer, now: Instant, into actions: inout ActionList
    ) {
        let asking = lookups[lookup].asking
        lookups[lookup].asking = []
        if case .secret = answer {
            lookups[lookup].phase = .answered
            lookups[lookup].answer = answer
            lookups[lookup].endsAt = now + Limits.lookupLifetime
            answeredLookups.append(lookup)
        } else {
            removeLookup(lookup)
        }
        for client in asking where clients.contains(client) {
            clients[client].login?.lookup = nil
            lookedUp(client, answer, by: lookup, now: now, into: &actions)
            goOnReading(client, into: &actions)
        }
    }

    // MARK: Forgetting

    private mutating func removeLookup(_ lookup: LookupID) {
        lookupNames[lookups[lookup].key] = nil
        if lookups[lookup].phase == .inLine { pools[lookups[lookup].pool].lookups.removeAll { $0 == lookup } }
        lookups.remove(lookup)
    }

    /// A login against this answer failed: the secret may have changed meanwhile.
    mutating func dropAnswer(_ lookup: LookupID) {
        guard lookups.contains(lookup), lookups[lookup].phase == .answered else { return }
        removeLookup(lookup)
    }

    /// Answers that count no more, and the oldest ones when there are too many.
    mutating func forgetOldLookups(now: Instant) {
        while let oldest = answeredLookups.first {
            if lookups.contains(oldest) {
                guard lookups[oldest].endsAt <= now || answeredLookups.count > Limits.rememberedLookups else {
                    return
                }
                removeLookup(oldest)
            }
            _ = answeredLookups.removeFirst()
        }
    }

    mutating func forgetAnsweredLookups() {
        while !answeredLookups.isEmpty {
            let lookup = answeredLookups.removeFirst()
            if lookups.contains(lookup) { removeLookup(lookup) }
        }
    }
}
