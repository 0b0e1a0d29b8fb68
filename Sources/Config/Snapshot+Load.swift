public import Primitives

extension Snapshot {
    /// A configuration that is good, and what the log should say about it.
    public struct Loaded: Sendable {
        public let snapshot: Snapshot
        public let notices: [ConfigNotice]
    }

    /// Everything there is to say about a configuration, good or not.
    public struct Examined: Sendable {
        /// What could be understood; in force only when there are no errors.
        public let snapshot: Snapshot
        public let origins: Origins
        public let errors: [ConfigError]
        public let notices: [ConfigNotice]
    }

    /// Where the values come from: the lines that count.
    public struct Origins: Sendable {
        public internal(set) var settings: [ByteString: IniFile.Place] = [:]
        /// By name; `*` for the template.
        public internal(set) var databases: [ByteString: IniFile.Place] = [:]
        public internal(set) var users: [ByteString: IniFile.Place] = [:]
    }

    /// Reads a configuration file, what it includes, and the user list it names: all of it or nothing.
    ///
    /// A user list that has never been there is only remarked on, as in PgBouncer. One that was read before
    /// (there are `previousSecrets`) and cannot be read now, or is broken, is an error like any other.
    public static func load(
        path: ByteString, previousSecrets: [ByteString: ByteString] = [:], networks: Networks? = nil,
        list: FolderLister = { _ in .failure(FileProblem("folders cannot be read here")) }, read: FileReader
    ) -> Result<Loaded, ConfigErrors> {
        let found = examine(
            path: path, previousSecrets: previousSecrets, networks: networks, list: list, read: read)
        if !found.errors.isEmpty { return .failure(ConfigErrors(errors: found.errors)) }
        return .success(Loaded(snapshot: found.snapshot, notices: found.notices))
    }

    /// Reads the same files, and goes on behind what is wrong.
    public static func examine(
        path: ByteString, previousSecrets: [ByteString: ByteString] = [:], networks: Networks? = nil,
        list: FolderLister = { _ in .failure(FileProblem("folders cannot be read here")) }, read: FileReader
    ) -> Examined {
        var loader = Loader(path: path)
        loader.understand(IniFile.read(path, with: read))
        loader.readSecrets(previousSecrets, read)
        loader.readAccessRules(networks, read, list)
        let snapshot = loader.snapshot
        loader.refuseContradictions(snapshot)
        return Examined(
            snapshot: snapshot, origins: loader.origins, errors: Array(loader.errors.prefix(Limits.errors)),
            notices: loader.notices)
    }
}

/// Gives the lines of an ini file their meaning.
private struct Loader {
    var errors: [ConfigError] = []
    var notices: [ConfigNotice] = []
    private let path: ByteString
    private var global = GlobalSettings()
    private var databases: [DatabaseEntry] = []
    private var autoDatabase: DatabaseEntry?
    private var users: [UserEntry] = []
    private var peers: [PeerEntry] = []
    private var secrets: [ByteString: ByteString] = [:]
    private var access = AccessRules()
    /// The lines that count, for errors found only when everything is known.
    private var settingLines: [ByteString: IniFile.Entry] = [:]
    var origins = Snapshot.Origins()

    init(path: ByteString) {
        self.path = path
        global.conffile = path
    }

    var snapshot: Snapshot {
        Snapshot(
            global: global, databases: databases, autoDatabase: autoDatabase, users: users, peers: peers,
            secrets: secrets, access: access)
    }

    mutating func understand(_ ini: IniFile) {
        errors = ini.errors
        check(ini.sections)
        for entry in ini.entries where errors.count < Limits.errors {
            switch entry.section {
            case nil: errors.append(ConfigError(.valueWithoutSection, entry.place, setting: entry.key))
            case "pgbouncer": setGlobal(entry)
            case "databases": addDatabase(entry)
            case "users": addUser(entry)
            case "peers": addPeer(entry)
            default: break  // the section has been refused already
            }
        }
    }

    private mutating func check(_ sections: [IniFile.Section]) {
        var mainSections = 0
        for section in sections {
            switch section.name {
            case "pgbouncer":
                mainSections += 1
                // PgBouncer starts again from the defaults here, which hardly anybody means.
                if mainSections == 2 {
                    warn("section [pgbouncer] again: it adds to the first one", section.place)
                }
            case "databases", "users", "peers": break
            default:
                let expected = "expected pgbouncer, databases, users or peers"
                errors.append(
                    ConfigError(.unknownSection, section.place, found: section.name, expected: expected))
            }
        }
        // A file that was not read to its end may have the section further on.
        if mainSections == 0, errors.isEmpty {
            let place = IniFile.Place(file: path, line: 0)
            errors.append(ConfigError(.missingMainSection, place, expected: "expected a line [pgbouncer]"))
        }
    }

    private mutating func warn(_ text: String, _ place: IniFile.Place) {
        notices.append(ConfigNotice(level: .warning, text: "\(text) (\(place.file.quotable):\(place.line))"))
    }

    private mutating func refuse(_ entry: IniFile.Entry, _ expected: String) {
        let found = ConnectString.withoutSecrets(entry.value)
        errors.append(
            ConfigError(.badValue, entry.place, setting: entry.key, found: found, expected: expected))
    }

    // MARK: Lines

    private mutating func setGlobal(_ entry: IniFile.Entry) {
        guard let row = GlobalSettings.row(named: entry.key) else {
            let expected = Suggestion.text(for: entry.key)
            errors.append(ConfigError(.unknownSetting, entry.place, setting: entry.key, expected: expected))
            return
        }
        do throws(BadValue) {
            try row.parse(entry.value, into: &global)
            settingLines[entry.key] = entry
            origins.settings[entry.key] = entry.place
        } catch {
            refuse(entry, "expected " + error.expected)
        }
    }

    private mutating func addDatabase(_ entry: IniFile.Entry) {
        do throws(ConnectString.Problem) {
            let database = try DatabaseEntry(name: entry.key, entry.value)
            if database.password != nil, database.user == nil {
                warn("password without user has no effect for database \(entry.key.quotable)", entry.place)
            }
            origins.databases[entry.key] = entry.place
            if entry.key == "*" { autoDatabase = database } else { databases.append(database) }
        } catch {
            refuse(entry, error.text)
        }
    }

    private mutating func addUser(_ entry: IniFile.Entry) {
        do throws(ConnectString.Problem) {
            users.append(try UserEntry(name: entry.key, entry.value))
            origins.users[entry.key] = entry.place
        } catch {
            refuse(entry, error.text)
        }
    }

    private mutating func addPeer(_ entry: IniFile.Entry) {
        do throws(ConnectString.Problem) {
            peers.append(try PeerEntry(name: entry.key, entry.value))
        } catch {
            refuse(entry, error.text)
        }
    }

    // MARK: When all lines are known

    mutating func readSecrets(_ previous: [ByteString: ByteString], _ read: FileReader) {
        guard global.authType.readsAuthFile, let file = global.authFile else { return }
        switch read(file) {
        case .failure(let problem):
            secrets = previous
            if !previous.isEmpty {
                let place = IniFile.Place(file: file, line: 0)
                return errors.append(ConfigError(.unreadable, place, expected: problem.reason))
            }
            let text = "could not open auth_file \(file.quotable): \(problem.reason)"
            notices.append(ConfigNotice(level: .error, text: text))
        case .success(let text):
            let found = Userlist.read(text, file: file)
            secrets = found.secrets
            errors += found.problems
        }
    }

    /// The files are read whenever they are named and there, so that SET auth_type finds their rules in
    /// force.
    mutating func readAccessRules(_ networks: Networks?, _ read: FileReader, _ list: FolderLister) {
        guard !global.authHBAFile.isEmpty else { return }
        withoutActuallyEscaping(read) { read in
            withoutActuallyEscaping(list) { list in
                let files = FolderReader(read: read, list: list)
                do throws(ConfigError) {
                    access = try AccessRules.load(
                        hba: global.authHBAFile, ident: global.authIdentFile, networks: networks, files)
                } catch {
                    if global.authType == .hba { errors.append(error) }
                }
            }
        }
    }

    mutating func refuseContradictions(_ snapshot: Snapshot) {
        for row in Contradiction.rows where row.applies(snapshot.global) {
            if let line = settingLines[row.setting] { refuse(line, row.sentence) }
        }
    }
}
