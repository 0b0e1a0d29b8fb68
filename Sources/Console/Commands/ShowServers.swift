import Engine
import Primitives
import Session

struct ShowServers: ShowCommand {
    static let words = "SHOW SERVERS"
    static let doc = "One row a server connection, pool by pool."
    static let columns = SocketColumns.plain
    static let asksAll = true

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [SocketReport] {
        let members = switchboard.serversByPool()
        var reports: [SocketReport] = []
        for (pool, _, _) in switchboard.poolsInOrder() {
            let listed = (members[pool] ?? []).map { ($0, switchboard.listing(of: $0, now: moment.now)) }
            for listing in ServerListing.allCases {
                for (server, itsListing) in listed where itsListing == listing {
                    let isUnpaired = listing == .active && switchboard.servers[server].client == nil
                    let state = isUnpaired ? ServerListing.idle.name : listing.name
                    reports.append(switchboard.report(server, state: state, at: moment))
                }
            }
        }
        return reports
    }
}
