public import Primitives

/// What is in force for every pool that a configuration can make, and which line says so: for people who ask
/// why a pool is as large as it is.
public struct Explanation: Sendable {
    /// One value and where it comes from.
    public struct Row: Equatable, Sendable {
        public let name: String
        /// `nil`: not set.
        public let value: ByteString?
        /// "file:line", "default", or "default of NAME" where the setting has another name.
        public let origin: String
    }

    /// The pools of one database for one kind of user.
    public struct Pool: Equatable, Sendable {
        /// `*` for all databases without an entry.
        public let database: ByteString
        /// `nil` for all users without a line of their own.
        public let user: ByteString?
        public let rows: [Row]
    }

    public let settings: [Row]
    public let pools: [Pool]

    public init(_ found: Snapshot.Examined) {
        let global = found.snapshot.global
        settings = GlobalSettings.rows.map { row in
            let place = found.origins.settings[ByteString(row.name)]
            let isGiven = row.name == "conffile" && place == nil
            return Row(
                name: row.name, value: row.shownText(in: global),
                origin: isGiven ? "command line" : Self.text(of: place, "default"))
        }
        var pools: [Pool] = []
        let databases = found.snapshot.databases + (found.snapshot.autoDatabase.map { [$0] } ?? [])
        for database in databases {
            // With a forced user there is one pool, and it is that user's.
            let users = database.user.map { [$0] } ?? found.snapshot.users.map(\.name)
            for user in users { pools.append(Self.pool(database, user, found)) }
            if database.user == nil { pools.append(Self.pool(database, nil, found)) }
        }
        self.pools = pools
    }

    /// What a value of a pool is called, and who may say it: user before database before the global setting.
    private struct Form: Sendable {
        let name: String
        /// Empty when there is no global setting for it.
        let setting: ByteString
        var ofDatabase: (@Sendable (DatabaseEntry) -> ByteString?)?
        var ofUser: (@Sendable (UserEntry) -> ByteString?)?
    }

    private static let forms: [Form] = [
        Form(
            name: "host", setting: "unix_socket_dir",
            ofDatabase: { $0.hostList }),
        Form(name: "port", setting: "", ofDatabase: { text($0.port) }),
        Form(name: "dbname", setting: "", ofDatabase: { $0.dbname ?? ($0.name == "*" ? nil : $0.name) }),
        Form(name: "user", setting: "", ofDatabase: { $0.user }),
        Form(
            name: "password_command", setting: "", ofDatabase: { $0.passwordCommand?.nameOfProgram },
            ofUser: { $0.passwordCommand?.nameOfProgram }),
        Form(
            name: "password_file", setting: "", ofDatabase: { $0.passwordFile },
            ofUser: { $0.passwordFile }),
        Form(name: "connect_query", setting: "", ofDatabase: { $0.connectQuery }),
        Form(name: "load_balance_hosts", setting: "", ofDatabase: { $0.loadBalanceHosts.name }),
        Form(name: "auth_user", setting: "auth_user", ofDatabase: { $0.authUser }),
        Form(name: "auth_query", setting: "auth_query", ofDatabase: { $0.authQuery }),
        Form(name: "auth_dbname", setting: "auth_dbname", ofDatabase: { $0.authDbname }),
        Form(
            name: "pool_mode", setting: "pool_mode", ofDatabase: { $0.poolMode?.name },
            ofUser: { $0.poolMode?.name }),
        Form(
            name: "pool_size", setting: "default_pool_size", ofDatabase: { text($0.poolSize) },
            ofUser: { text($0.poolSize) }),
        Form(name: "min_pool_size", setting: "min_pool_size", ofDatabase: { text($0.minPoolSize) }),
        Form(
            name: "reserve_pool_size", setting: "reserve_pool_size",
            ofDatabase: { text($0.reservePoolSize) }, ofUser: { text($0.reservePoolSize) }),
        Form(name: "reserve_pool_timeout", setting: "reserve_pool_timeout"),
        Form(
            name: "max_db_connections", setting: "max_db_connections",
            ofDatabase: { text($0.maxDbConnections) }),
        Form(
            name: "max_db_client_connections", setting: "max_db_client_connections",
            ofDatabase: { text($0.maxDbClientConnections) }),
        Form(
            name: "max_user_connections", setting: "max_user_connections",
            ofUser: { text($0.maxUserConnections) }),
        Form(
            name: "max_user_client_connections", setting: "max_user_client_connections",
            ofUser: { text($0.maxUserClientConnections) }),
        Form(
            name: "server_lifetime", setting: "server_lifetime", ofDatabase: { text($0.serverLifetime) }),
        Form(name: "server_idle_timeout", setting: "server_idle_timeout"),
        Form(name: "server_connect_timeout", setting: "server_connect_timeout"),
        Form(
            name: "query_wait_timeout", setting: "query_wait_timeout",
            ofDatabase: { text($0.queryWaitTimeout) }, ofUser: { text($0.queryWaitTimeout) }),
        Form(name: "query_timeout", setting: "query_timeout", ofUser: { text($0.queryTimeout) }),
        Form(
            name: "idle_transaction_timeout", setting: "idle_transaction_timeout",
            ofUser: { text($0.idleTransactionTimeout) }),
        Form(
            name: "transaction_timeout", setting: "transaction_timeout",
            ofUser: { text($0.transactionTimeout) }),
        Form(
            name: "client_idle_timeout", setting: "client_idle_timeout",
            ofUser: { text($0.clientIdleTimeout) }),
        Form(name: "max_prepared_statements", setting: "max_prepared_statements"),
        Form(name: "server_reset_query", setting: "server_reset_query"),
    ]

    private static func text(_ value: UInt16) -> ByteString? { ByteString("\(value)") }
    private static func text(_ value: Int?) -> ByteString? { value.map { ByteString("\($0)") } }
    private static func text(_ value: TimeSpan?) -> ByteString? { value.map { ByteString($0.shortSeconds) } }

    private static func pool(
        _ database: DatabaseEntry, _ user: ByteString?, _ found: Snapshot.Examined
    ) -> Pool {
        let line = user.flatMap { found.snapshot.user(named: $0) }
        let defaults = DatabaseEntry(name: database.name)
        let rows = forms.map { form -> Row in
            if let line, let value = form.ofUser?(line) {
                return Row(
                    name: form.name, value: value, origin: text(of: found.origins.users[line.name], "[users]")
                )
            }
            if let value = form.ofDatabase?(database) {
                // What an entry has without being told so is a default, wherever the entry stands.
                let place = form.ofDatabase?(defaults) == value ? nil : found.origins.databases[database.name]
                return Row(name: form.name, value: value, origin: text(of: place, "default"))
            }
            guard let row = GlobalSettings.row(named: form.setting) else {
                return Row(name: form.name, value: nil, origin: "default")
            }
            let isOther = form.name != row.name
            let place = text(of: found.origins.settings[form.setting], "default")
            return Row(
                name: form.name, value: row.shownText(in: found.snapshot.global),
                origin: isOther ? "\(place) (\(row.name))" : place)
        }
        return Pool(database: database.name, user: user, rows: rows)
    }

    private static func text(of place: IniFile.Place?, _ otherwise: String) -> String {
        place.map { "\($0.file.quotable):\($0.line)" } ?? otherwise
    }

    /// All of it as text, in columns.
    public var text: String {
        var text = "[pgbouncer]\n" + Self.columns(settings)
        for pool in pools {
            let database =
                pool.database == "*" ? "every other database" : "database \(pool.database.quotable)"
            let user = pool.user.map { "user \($0.quotable)" } ?? "every other user"
            text += "\n\(database), \(user)\n" + Self.columns(pool.rows)
        }
        return text
    }

    private static func columns(_ rows: [Row]) -> String {
        let nameWidth = rows.map(\.name.utf8.count).max() ?? 0
        let values = rows.map { $0.value.map { $0.isEmpty ? "''" : $0.quotable } ?? "-" }
        // A long query must not push the column of origins out of sight.
        let valueWidth = min(32, values.map(\.count).max() ?? 0)
        var text = ""
        for (row, value) in zip(rows, values) {
            text += "  \(padded(row.name, nameWidth))  \(padded(value, valueWidth))  \(row.origin)\n"
        }
        return text
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
