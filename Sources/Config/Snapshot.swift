public import Primitives

/// One validated configuration, immutable. A reload makes a new one; nobody ever sees half of it.
///
/// The way of a file: `IniFile` finds its lines; the rows of `GlobalSettings`, `DatabaseEntry`, `UserEntry`,
/// `PeerEntry` and `Userlist` give them meaning; `Snapshot.load` puts it all together or says everything that
/// is wrong. `SnapshotDiff` says what a reload changes. To add a
/// setting: one property in `GlobalSettings`, one row in its table.
public final class Snapshot: Sendable {
    public let global: GlobalSettings
    /// Sorted by name.
    public let databases: [DatabaseEntry]
    /// The `*` entry: the template for names that have no entry of their own.
    public let autoDatabase: DatabaseEntry?
    /// Sorted by name.
    public let users: [UserEntry]
    /// Sorted by id.
    public let peers: [PeerEntry]
    /// What auth_file says: user names and their secrets.
    public let secrets: [ByteString: ByteString]
    /// What auth_hba_file and auth_ident_file say; nobody gets in by an empty list.
    public let access: AccessRules

    private let databasePlaces: [ByteString: Int]
    private let userPlaces: [ByteString: Int]

    /// Of several entries with one name the last one counts.
    public init(
        global: GlobalSettings = GlobalSettings(), databases: [DatabaseEntry] = [],
        autoDatabase: DatabaseEntry? = nil, users: [UserEntry] = [], peers: [PeerEntry] = [],
        secrets: [ByteString: ByteString] = [:], access: AccessRules = AccessRules()
    ) {
        self.global = global
        self.databases = Self.sorted(databases, by: \.name)
        self.autoDatabase = autoDatabase
        self.users = Self.sorted(users, by: \.name)
        self.peers = Self.sorted(peers, by: \.id)
        self.secrets = secrets
        self.access = access
        databasePlaces = Self.places(self.databases.map(\.name))
        userPlaces = Self.places(self.users.map(\.name))
    }

    /// The entry of exactly this name; not the `*` entry.
    public func database(named name: ByteString) -> DatabaseEntry? {
        databasePlaces[name].map { databases[$0] }
    }

    public func user(named name: ByteString) -> UserEntry? { userPlaces[name].map { users[$0] } }

    public func peer(id: UInt16) -> PeerEntry? { peers.first { $0.id == id } }

    /// The same configuration with other global settings, such as those of the command line.
    public func with(global: GlobalSettings) -> Snapshot {
        Snapshot(
            global: global, databases: databases, autoDatabase: autoDatabase, users: users, peers: peers,
            secrets: secrets, access: access)
    }

    /// A copy with one setting changed, for `SET` on the console.
    public func setting(_ key: ByteString, to value: ByteString) -> Result<Snapshot, ConfigError> {
        let place = IniFile.Place(file: "", line: 0)
        guard let row = GlobalSettings.row(named: key) else {
            return .failure(
                ConfigError(.unknownSetting, place, setting: key, expected: Suggestion.text(for: key)))
        }
        guard row.isReloadable else {
            let expected = "it counts only at the start; change the file and restart"
            return .failure(
                ConfigError(.notReloadable, place, setting: key, found: value, expected: expected))
        }
        var changed = global
        do throws(BadValue) {
            try row.parse(value, into: &changed)
        } catch {
            let expected = "expected " + error.expected
            let found = ConnectString.withoutSecrets(value)
            return .failure(ConfigError(.badValue, place, setting: key, found: found, expected: expected))
        }
        let snapshot = with(global: changed)
        return .success(snapshot)
    }

    /// A copy in which settings that count only at the start keep the values they had then. A reload puts
    /// this copy in force, after `SnapshotDiff` of the file's own values has said what needs a restart.
    public func keepingStartSettings(of old: Snapshot) -> Snapshot {
        var kept = global
        for row in GlobalSettings.rows where !row.isReloadable { row.copy(from: old.global, into: &kept) }
        return with(global: kept)
    }

    private static func sorted<Entry, Key: Hashable & Comparable>(
        _ entries: [Entry], by key: KeyPath<Entry, Key>
    ) -> [Entry] {
        var last: [Key: Entry] = [:]
        for entry in entries { last[entry[keyPath: key]] = entry }
        return last.values.sorted { $0[keyPath: key] < $1[keyPath: key] }
    }

    private static func places(_ names: [ByteString]) -> [ByteString: Int] {
        var places: [ByteString: Int] = [:]
        for (place, name) in names.enumerated() { places[name] = place }
        return places
    }
}
