import Config
import Engine
import Primitives
import Session

struct ShowLists: ShowCommand {
    static let words = "SHOW LISTS"
    static let doc = "How many there are of everything."
    static let columns: [Column<(list: ByteString, items: Int)>] = [
        .text("list", "What is counted") { $0.list },
        .int4("items", "How many there are") { $0.items },
    ]

    static let asksAll = true
    private static let ofLinks: Set<ByteString> = [
        "free_clients", "used_clients", "login_clients", "free_servers", "used_servers",
    ]

    /// What is the same everywhere is counted here; the rest is added up.
    static func merged(
        _ own: [Row], _ shares: [any Sendable], _ switchboard: borrowing Switchboard
    ) -> [Row] {
        own.map { row in
            guard ofLinks.contains(row.list) else { return row }
            let more = shares.reduce(0) { sum, share in
                sum + (share as? [Row] ?? []).reduce(0) { $0 + ($1.list == row.list ? $1.items : 0) }
            }
            return (row.list, row.items + more)
        }
    }

    static func rows(
        _ switchboard: borrowing Switchboard, at moment: Moment
    ) -> [(list: ByteString, items: Int)] {
        var loggingIn = 0
        for client in switchboard.clientIDs {
            switch switchboard.clients[client].phase {
            case .startup, .authenticating: loggingIn += 1
            case .awaitingWelcome, .idle, .waiting, .active, .skipping, .replicating, .console,
                .cancelRequest:
                break
            }
        }
        var databases = 0
        for database in switchboard.databaseIDs where !switchboard.databases[database].isRemoved {
            databases += 1
        }
        let clients = switchboard.clients.count
        let servers = switchboard.servers.count
        return [
            ("databases", databases),
            ("users", switchboard.users.count),
            ("peers", switchboard.snapshot.peers.count),
            ("pools", switchboard.pools.count),
            ("peer_pools", switchboard.peerPools.count),
            ("free_clients", Int(switchboard.clients.slotCount) - clients),
            ("used_clients", clients),
            ("login_clients", loggingIn),
            ("free_servers", Int(switchboard.servers.slotCount) - servers),
            ("used_servers", servers),
            ("dns_names", switchboard.names.hosts.count),
            ("dns_zones", switchboard.names.zones.count),
            ("dns_queries", switchboard.names.queries),
            ("dns_pending", 0),
        ]
    }
}
