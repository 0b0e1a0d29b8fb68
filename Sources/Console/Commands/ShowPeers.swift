import Config
import Engine
import Primitives

struct ShowPeers: ShowCommand {
    static let words = "SHOW PEERS"
    static let doc = "The peers of the configuration."
    static let columns: [Column<(entry: PeerEntry, poolSize: Int)>] = [
        .int4("peer_id", "Number of the peer") { Int($0.entry.id) },
        .text("host", "Where it listens") { $0.entry.host },
        .int4("port", "Port it listens on") { Int($0.entry.port) },
        .int4("pool_size", "Cancel requests passed on to it at once") { $0.poolSize },
    ]

    static func rows(
        _ switchboard: borrowing Switchboard, at moment: Moment
    ) -> [(entry: PeerEntry, poolSize: Int)] {
        let usual = switchboard.snapshot.global.defaultPoolSize
        return switchboard.snapshot.peers.map { ($0, $0.poolSize ?? usual) }
    }
}

struct ShowPeerPools: ShowCommand {
    static let words = "SHOW PEER_POOLS"
    static let doc = "Cancel requests on their way to peers, one row a peer that was used."
    static let columns: [Column<PeerPoolReport>] = [
        .int4("peer_id", "Number of the peer") { $0.peer },
        .int4("cl_active_cancel_req", "Cancel requests that were passed on") { $0.activeRequests },
        .int4("cl_waiting_cancel_req", "Cancel requests not passed on yet") { $0.waitingRequests },
        .int4("sv_active_cancel", "Connections that carry a cancel request") { $0.activeCancels },
        .int4("sv_login", "Connections being made") { $0.opening },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [PeerPoolReport] {
        switchboard.peerPools
    }
}
