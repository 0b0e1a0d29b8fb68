import Engine
import Primitives
import Session

struct ShowClients: ShowCommand {
    static let words = "SHOW CLIENTS"
    static let doc = "One row a client that is logged in, pool by pool."
    static let columns = SocketColumns.plain
    static let asksAll = true

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [SocketReport] {
        let members = switchboard.clientsByPool()
        let cancels = switchboard.cancelClients()
        var reports: [SocketReport] = []
        for (pool, _, _) in switchboard.poolsInOrder() {
            let clients = members[pool] ?? []
            for client in clients where !switchboard.isInLine(client) {
                let state: ByteString = switchboard.clients[client].server == nil ? "idle" : "active"
                reports.append(switchboard.report(client, in: pool, state: state, at: moment))
            }
            for client in clients where switchboard.isInLine(client) {
                reports.append(switchboard.report(client, in: pool, state: "waiting", at: moment))
            }
            for (client, itsPool, isSent) in cancels where itsPool == pool {
                let state: ByteString = isSent ? "active_cancel_req" : "waiting_cancel_req"
                reports.append(switchboard.report(client, in: pool, state: state, at: moment))
            }
        }
        return reports
    }
}
