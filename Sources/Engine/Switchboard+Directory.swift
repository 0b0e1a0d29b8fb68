import Auth
import Config
public import Pool
public import Primitives
public import Session

/// Databases, users and pools by name; made when first asked for.
extension Switchboard {
    /// The database of this name; one that only `*` covers is registered.
    mutating func findDatabase(
        _ name: ByteString, now: Instant, into actions: inout ActionList
    ) -> DatabaseID? {
        if let known = name.withView({ databaseNames.value($0) }) {
            if name == Self.consoleName { return nil }
            guard databases[known].isRemoved else { return known }
            // Its line is gone, and `*` covers the name now.
            guard var entry = snapshot.autoDatabase else { return nil }
            entry.name = name
            databases[known].entry = entry
            databases[known].isAutomatic = true
            databases[known].isRemoved = false
            refreshSettings(of: known)
            return known
        }
        guard var entry = snapshot.autoDatabase else { return nil }
        entry.name = name
        let new = Database(name: name, entry: entry, isAutomatic: true, now: now)
        guard let database = databases.insert(new) else { return nil }
        _ = name.withView { databaseNames.set($0, to: database) }
        log(.log, ByteString("registered new auto-database: ").appending(name), into: &actions)
        return database
    }

    private mutating func refreshSettings(of database: DatabaseID) {
        for pool in poolIDs(of: database) {
            pools[pool].settings = PoolSettings(
                snapshot, database: databases[database].entry, user: users[pools[pool].user].name)
        }
    }

    mutating func findUser(_ name: ByteString) -> UserID? {
        if let known = name.withView({ userNames.value($0) }) { return known }
        let secret = snapshot.secrets[name].map { Secret($0) }
        guard let user = users.insert(User(name: name, secret: secret)) else { return nil }
        _ = name.withView { userNames.set($0, to: user) }
        return user
    }

    mutating func findPool(_ database: DatabaseID, _ user: UserID, now: Instant) -> PoolID? {
        let name = PoolName(database: database, user: user)
        if let known = poolNames[name] { return known }
        let settings = PoolSettings(
            snapshot, database: databases[database].entry, user: users[user].name)
        let record = PoolRecord(database: database, user: user, settings: settings, now: now)
        guard let pool = pools.insert(record) else { return nil }
        poolNames[name] = pool
        return pool
    }

    /// Every pool, in the order of its slot.
    public func forEachPool(_ body: (PoolID) -> Void) {
        for slot in 0..<pools.slotCount {
            if let pool = pools.id(at: slot) { body(pool) }
        }
    }

    public var poolIDs: [PoolID] { (0..<pools.slotCount).compactMap { pools.id(at: $0) } }
    public var databaseIDs: [DatabaseID] { (0..<databases.slotCount).compactMap { databases.id(at: $0) } }
    public var userIDs: [UserID] { (0..<users.slotCount).compactMap { users.id(at: $0) } }
    public var clientIDs: [ClientID] { (0..<clients.slotCount).compactMap { clients.id(at: $0) } }
    public var serverIDs: [ServerID] { (0..<servers.slotCount).compactMap { servers.id(at: $0) } }
    public func serverState(_ server: ServerID) -> ServerState? { roster.state(server) }

    public func database(named name: ByteString) -> DatabaseID? {
        name.withView { databaseNames.value($0) }
    }

    func poolIDs(of database: DatabaseID?) -> [PoolID] {
        poolIDs.filter { database == nil || pools[$0].database == database }
    }
}
