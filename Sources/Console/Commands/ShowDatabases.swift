import Config
import Engine
import Primitives

/// A database as SHOW prints it; sizes are those in force.
struct DatabaseReport {
    let name: ByteString
    let entry: DatabaseEntry
    let port: Int
    let nameOnServer: ByteString
    let forcedUser: ByteString?
    let poolSize: Int
    let minPoolSize: Int
    let reservePoolSize: Int
    let serverLifetime: TimeSpan
    let maxConnections: Int
    let connections: Int
    let maxClients: Int
    let clients: Int
    let isPaused: Bool
    let isDisabled: Bool
}

extension DatabaseEntry {
    /// As one text; `nil` for the unix socket in the default directory.
    var hostText: ByteString? {
        hosts.isEmpty ? nil : ByteString(Array(hosts.map(\.bytes).joined(separator: [0x2C])))
    }

    /// How its hosts take turns; `nil` where there are not several.
    var shownLoadBalance: ByteString? { hosts.count > 1 ? loadBalanceHosts.name : nil }
}

struct ShowDatabases: ShowCommand {
    static let words = "SHOW DATABASES"
    static let doc = "The databases that clients can ask for."
    static let columns: [Column<DatabaseReport>] = [
        .text("name", "Name clients ask for") { $0.name },
        .text("host", "Host, list of hosts or socket directory; NULL for the default directory") {
            $0.entry.hostText
        },
        .int4("port", "Port of the server") { $0.port },
        .text("database", "Name on the server") { $0.nameOnServer },
        .text("force_user", "User that all server connections log in as") { $0.forcedUser },
        .int4("pool_size", "Server connections per user; 0 sets no limit") { $0.poolSize },
        .int4("min_pool_size", "Server connections kept open") { $0.minPoolSize },
        .int4("reserve_pool_size", "Further server connections when clients wait long") {
            $0.reservePoolSize
        },
        .int4("server_lifetime", "Age at which server connections are replaced, in seconds") {
            $0.serverLifetime.wholeSeconds
        },
        .text("pool_mode", "Pool mode of this database; NULL for the default") { $0.entry.poolMode?.name },
        .text("load_balance_hosts", "How a list of hosts takes turns; NULL when there is no list") {
            $0.entry.shownLoadBalance
        },
        .int4("max_connections", "Server connections over all its pools; 0 sets no limit") {
            $0.maxConnections
        },
        .int4("current_connections", "Server connections now") { $0.connections },
        .int4("max_client_connections", "Client connections; 0 sets no limit") { $0.maxClients },
        .int4("current_client_connections", "Client connections now") { $0.clients },
        .int4("paused", "1 while PAUSE or KILL holds it, else 0") { $0.isPaused ? 1 : 0 },
        .int4("disabled", "1 while DISABLE holds it, else 0") { $0.isDisabled ? 1 : 0 },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [DatabaseReport] {
        let global = switchboard.snapshot.global
        let console = switchboard.consoleDatabase
        var reports: [DatabaseReport] = []
        for database in switchboard.databaseIDs where !switchboard.databases[database].isRemoved {
            let entry = switchboard.databases[database].entry
            let isConsole = database == console
            reports.append(
                DatabaseReport(
                    name: switchboard.databases[database].name, entry: entry,
                    port: Int(isConsole ? switchboard.process.listenPort : entry.port),
                    nameOnServer: switchboard.databases[database].nameOnServer,
                    forcedUser: isConsole ? entry.name : entry.user,
                    poolSize: entry.poolSize ?? global.defaultPoolSize,
                    minPoolSize: entry.minPoolSize ?? global.minPoolSize,
                    reservePoolSize: entry.reservePoolSize ?? global.reservePoolSize,
                    serverLifetime: entry.serverLifetime ?? global.serverLifetime,
                    maxConnections: entry.maxDbConnections ?? global.maxDbConnections,
                    connections: switchboard.databases[database].servers,
                    maxClients: entry.maxDbClientConnections ?? global.maxDbClientConnections,
                    clients: switchboard.databases[database].clients,
                    isPaused: switchboard.databases[database].isPaused,
                    isDisabled: switchboard.databases[database].isDisabled))
        }
        return reports.sorted { $0.name < $1.name }
    }
}
