import Config
import Pool
import Primitives
import Session

/// Databases that only `*` knows are made when somebody asks for them; here they are forgotten again, with
/// their pools and what was counted for them (`autodb_idle_timeout`).
extension Switchboard {
    mutating func forgetUnusedDatabases(now: Instant, into actions: inout ActionList) {
        let limit = snapshot.global.autodbIdleTimeout
        // The keeper counts what others use of it, too. A mate goes by what it has itself; both make anew
        // what a letter names.
        guard !limit.isZero else { return }
        for database in databaseIDs
        where databases[database].isAutomatic && now >= databases[database].lastUsed + limit
            && isUnused(database, for: limit, now: now)
        {
            if !crew.isMate { logDropping(databases[database].name, into: &actions) }
            for pool in poolIDs(of: database) { forget(pool) }
            _ = databases[database].name.withView { databaseNames.remove($0) }
            databases.remove(database)
        }
    }

    /// PgBouncer's one text for both reasons.
    mutating func logDropping(_ name: ByteString, into actions: inout ActionList) {
        let line = ByteString("dropping database '").appending(name)
            .appending("' as it does not exist anymore or inactive auto-database")
        log(.warning, line, into: &actions)
    }

    /// Nobody uses it or is about to, and nobody has for so long. What an operator has paused or disabled is
    /// kept: forgetting it would undo that.
    private func isUnused(_ database: DatabaseID, for limit: TimeSpan, now: Instant) -> Bool {
        guard databases[database].clients == 0, databases[database].servers == 0,
            !databases[database].isPaused, !databases[database].isDisabled
        else { return false }
        for pool in poolIDs(of: database) {
            guard pools[pool].clients == 0, pools[pool].lists.sessions == 0,
                pools[pool].lists[.cancelling].isEmpty, !hasLine(pool),
                now >= pools[pool].idleSince + limit
            else { return false }
        }
        // A login on its way has not been counted yet.
        return !clientIDs.contains { clients[$0].database == database }
            && !lookupNames.keys.contains { $0.database == database }
            && !consoleWaits.contains { $0.wait == .pause(database) || $0.wait == .close(database) }
    }

    /// The pool's record goes; it has no clients and no servers.
    mutating func forget(_ pool: PoolID) {
        if let welcome = pools[pool].welcome { parameters.letGo(welcome.base) }
        poolNames[PoolName(database: pools[pool].database, user: pools[pool].user)] = nil
        pools.remove(pool)
    }
}
