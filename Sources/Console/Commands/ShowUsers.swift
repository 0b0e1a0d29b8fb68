import Config
import Engine
import Primitives

/// A user as SHOW prints it.
struct UserReport {
    let name: ByteString
    let line: UserEntry?
    let maxConnections: Int
    let connections: Int
    let maxClients: Int
    let clients: Int
}

struct ShowUsers: ShowCommand {
    static let words = "SHOW USERS"
    static let doc = "The users that are known, and their limits."
    static let columns: [Column<UserReport>] = [
        .text("name", "Name of the user") { $0.name },
        .text("pool_size", "Size of each of its pools; empty when its line does not say") {
            padded($0.line?.poolSize)
        },
        .text("reserve_pool_size", "Reserve of each of its pools; empty when its line does not say") {
            padded($0.line?.reservePoolSize)
        },
        .text("pool_mode", "Pool mode of its pools; NULL when its line does not say") {
            $0.line?.poolMode?.name
        },
        .int4("max_user_connections", "Server connections allowed; 0 sets no limit") { $0.maxConnections },
        .int4("current_connections", "Server connections now") { $0.connections },
        .int4("max_user_client_connections", "Client connections allowed; 0 sets no limit") { $0.maxClients },
        .int4("current_client_connections", "Client connections now") { $0.clients },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [UserReport] {
        let snapshot = switchboard.snapshot
        var reports: [UserReport] = []
        for user in switchboard.userIDs {
            let name = switchboard.users[user].name
            let line = snapshot.user(named: name)
            reports.append(
                UserReport(
                    name: name, line: line,
                    maxConnections: line?.maxUserConnections ?? snapshot.global.maxUserConnections,
                    connections: switchboard.users[user].servers,
                    maxClients: line?.maxUserClientConnections ?? snapshot.global.maxUserClientConnections,
                    clients: switchboard.users[user].clients))
        }
        return reports.sorted { $0.name < $1.name }
    }

    /// PgBouncer writes these two numbers as text, nine wide.
    private static func padded(_ number: Int?) -> ByteString {
        guard let number else { return "" }
        let digits = String(number)
        return ByteString(String(repeating: " ", count: max(0, 9 - digits.count)) + digits)
    }
}
