import Engine
import Primitives
import Session

struct ShowSockets: ShowCommand {
    static let words = "SHOW SOCKETS"
    static let doc = "Clients and servers in one table, with what their buffers hold."
    static let columns = SocketColumns.withBuffers
    static let asksAll = true

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [SocketReport] {
        let clients = switchboard.clientsByPool()
        let servers = switchboard.serversByPool()
        var reports: [SocketReport] = []
        for (pool, _, _) in switchboard.poolsInOrder() {
            for isInLine in [false, true] {
                for client in clients[pool] ?? [] where switchboard.isInLine(client) == isInLine {
                    let state: ByteString = isInLine ? "cl_waiting" : "cl_active"
                    reports.append(switchboard.report(client, in: pool, state: state, at: moment))
                }
            }
            let listed = (servers[pool] ?? []).map { ($0, switchboard.listing(of: $0, now: moment.now)) }
            for listing in ServerListing.allCases {
                guard let state = listing.socketName else { continue }
                for (server, itsListing) in listed where itsListing == listing {
                    reports.append(switchboard.report(server, state: state, at: moment))
                }
            }
        }
        for client in switchboard.clientIDs {
            switch switchboard.clients[client].phase {
            case .startup, .authenticating:
                reports.append(switchboard.report(client, in: nil, state: "cl_login", at: moment))
            case .awaitingWelcome, .idle, .waiting, .active, .skipping, .replicating, .console,
                .cancelRequest:
                break
            }
        }
        return reports
    }
}

struct ShowActiveSockets: ShowCommand {
    static let words = "SHOW ACTIVE_SOCKETS"
    static let doc = "As SHOW SOCKETS, only connections in the middle of a message."
    static let columns = SocketColumns.withBuffers
    static let asksAll = true

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [SocketReport] {
        ShowSockets.rows(switchboard, at: moment).filter { $0.restBytes > 0 }
    }
}
