import Engine
import Pool
import Primitives
import Session

/// What several SHOW commands ask of the switchboard.
extension Switchboard {
    /// Every pool, by the names of its database and its user.
    func poolsInOrder() -> [(pool: PoolID, database: ByteString, user: ByteString)] {
        var found: [(pool: PoolID, database: ByteString, user: ByteString)] = []
        for pool in poolIDs {
            found.append((pool, databases[pools[pool].database].name, users[pools[pool].user].name))
        }
        return found.sorted { ($0.database, $0.user) < ($1.database, $1.user) }
    }

    /// How long a client has stood in line with a query; zero for one that is still logging in.
    func queueTime(of client: ClientID, now: Instant) -> TimeSpan {
        let since = clients[client].waitingSince
        guard clients[client].phase == .waiting, since != .zero else { return .zero }
        return now.since(since)
    }

    /// Clients that carry a cancel request for a query of a pool, and whether it has been passed on.
    func cancelClients() -> [(client: ClientID, pool: PoolID, isSent: Bool)] {
        guard cancelRequests > 0 else { return [] }
        var found: [(client: ClientID, pool: PoolID, isSent: Bool)] = []
        for client in clientIDs where clients[client].phase == .cancelRequest {
            guard let server = clients[client].cancelTarget, servers.contains(server) else { continue }
            found.append((client, servers[server].pool, true))
        }
        for (asker, pool) in cancelsInLine where clients.contains(asker) {
            found.append((asker, pool, false))
        }
        return found
    }

    /// What SHOW calls a server's state.
    func listing(of server: ServerID, now: Instant) -> ServerListing {
        switch serverState(server) {
        case .opening, nil: return .new
        case .idle:
            let settings = pools[servers[server].pool].settings
            let rest = now.since(servers[server].restingSince)
            return settings.serverCheckQuery != nil && rest > settings.serverCheckDelay ? .used : .idle
        case .active:
            return servers[server].client == nil && servers[server].cancels > 0 ? .beingCanceled : .active
        case .testing: return .tested
        case .cancelling: return .activeCancel
        }
    }
}

/// States of servers, in the order SHOW lists them.
enum ServerListing: CaseIterable, Hashable, Sendable {
    case active, idle, used, tested, new, activeCancel, beingCanceled

    /// In SHOW SERVERS.
    var name: ByteString {
        switch self {
        case .active: "active"
        case .idle: "idle"
        case .used: "used"
        case .tested: "tested"
        case .new: "new"
        case .activeCancel: "active_cancel"
        case .beingCanceled: "being_canceled"
        }
    }

    /// In SHOW SOCKETS, which leaves out what has to do with cancel requests.
    var socketName: ByteString? {
        switch self {
        case .active: "sv_active"
        case .idle: "sv_idle"
        case .used: "sv_used"
        case .tested: "sv_tested"
        case .new: "sv_login"
        case .activeCancel, .beingCanceled: nil
        }
    }
}
