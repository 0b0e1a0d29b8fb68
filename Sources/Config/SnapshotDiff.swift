public import Primitives

/// What a reload changes.
public struct SnapshotDiff: Equatable, Sendable {
    /// Entries of one kind, by name, sorted.
    public struct Changes: Equatable, Sendable {
        public internal(set) var added: [ByteString] = []
        public internal(set) var removed: [ByteString] = []
        /// There before and after, with other contents.
        public internal(set) var changed: [ByteString] = []

        public var isEmpty: Bool { added.isEmpty && removed.isEmpty && changed.isEmpty }
    }

    /// What became of the `*` entry.
    public enum AutoDatabase: Equatable, Sendable {
        case same, added, removed, retargeted, changed
    }

    /// `changed` holds entries whose servers may stay: only pooling or log-in settings differ.
    public private(set) var databases = Changes()
    /// Databases that were there before and now need new servers: another host, name, user, connect_query...
    public private(set) var retargetedDatabases: [ByteString] = []
    public private(set) var autoDatabase: AutoDatabase
    public private(set) var users: Changes
    /// Names of peers are their ids.
    public private(set) var peers: Changes
    /// Names whose secret is new, gone or another one.
    public private(set) var changedSecrets: [ByteString]
    /// Settings that differ and count from now on.
    public private(set) var changedSettings: [String] = []
    /// Settings that differ but count only after a restart.
    public private(set) var restartSettings: [String] = []
    /// Every pool needs new servers, because of TLS.
    public private(set) var recyclesPools = false

    public init(from old: Snapshot, to new: Snapshot) {
        users = Self.changes(old.users, new.users) { $0.name }
        peers = Self.changes(old.peers, new.peers) { ByteString(String($0.id)) }
        changedSecrets = Set(old.secrets.keys).union(new.secrets.keys)
            .filter { old.secrets[$0] != new.secrets[$0] }.sorted()
        autoDatabase = Self.autoDatabase(old.autoDatabase, new.autoDatabase)
        databases = Self.changes(old.databases, new.databases) { $0.name }
        retargetedDatabases = databases.changed.filter { name in
            guard let before = old.database(named: name), let after = new.database(named: name) else {
                return false
            }
            return !before.hasSameTarget(as: after)
        }
        let retargeted = Set(retargetedDatabases)
        databases.changed.removeAll { retargeted.contains($0) }
        for row in GlobalSettings.rows where row.differs(old.global, new.global) {
            if row.isReloadable { changedSettings.append(row.name) } else { restartSettings.append(row.name) }
            if row.reload == .newPools { recyclesPools = true }
        }
    }

    /// Nothing differs at all.
    public var isEmpty: Bool {
        databases.isEmpty && retargetedDatabases.isEmpty && autoDatabase == .same && users.isEmpty
            && peers.isEmpty
            && changedSecrets.isEmpty && changedSettings.isEmpty && restartSettings.isEmpty
    }

    /// A log line for each setting that needs a restart.
    public var warnings: [String] {
        restartSettings.map {
            "parameter \($0) cannot be changed by a reload: the new value counts after a restart"
        }
    }

    private static func autoDatabase(_ old: DatabaseEntry?, _ new: DatabaseEntry?) -> AutoDatabase {
        switch (old, new) {
        case (nil, nil): .same
        case (nil, _): .added
        case (_, nil): .removed
        case (let old?, let new?): old == new ? .same : old.hasSameTarget(as: new) ? .changed : .retargeted
        }
    }

    private static func changes<Entry: Equatable>(
        _ old: [Entry], _ new: [Entry], name: (Entry) -> ByteString
    ) -> Changes {
        var before: [ByteString: Entry] = [:]
        for entry in old { before[name(entry)] = entry }
        var changes = Changes()
        for entry in new {
            guard let previous = before.removeValue(forKey: name(entry)) else {
                changes.added.append(name(entry))
                continue
            }
            if previous != entry { changes.changed.append(name(entry)) }
        }
        changes.removed = before.keys.sorted()
        return changes
    }
}
