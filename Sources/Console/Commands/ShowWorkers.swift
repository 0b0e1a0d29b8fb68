import Engine
import Primitives
import Session

/// A worker as SHOW prints it.
struct WorkerReport: Sendable {
    let worker: Int
    let clients: Int
    let servers: Int
    let queue: Int
    let busyPercent: Int
    let lettersSent: UInt64
    let lettersReceived: UInt64
    let serversSent: UInt64
}

struct ShowWorkers: ShowCommand {
    static let words = "SHOW WORKERS"
    static let doc = "One row a worker thread."
    static let asksAll = true
    static let columns: [Column<WorkerReport>] = [
        .int4("worker", "Its number; 0 accepts clients, opens servers and has the console") { $0.worker },
        .int4("clients", "Clients it serves") { $0.clients },
        .int4("servers", "Servers it has now") { $0.servers },
        .int4("queue", "Clients in line for a server") { $0.queue },
        .int4("busy", "Percent of a processor its thread used in the last stats_period") { $0.busyPercent },
        .int8("letters_sent", "Letters to other workers, servers that go there included") {
            Int(clamping: $0.lettersSent)
        },
        .int8("letters_received", "Letters from other workers") { Int(clamping: $0.lettersReceived) },
        .int8("servers_sent", "Servers that went to another worker") { Int(clamping: $0.serversSent) },
    ]

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [WorkerReport] {
        let pools = switchboard.poolIDs
        return [
            WorkerReport(
                worker: Int(switchboard.crew.me.index), clients: switchboard.clients.count,
                servers: switchboard.servers.count,
                queue: pools.reduce(0) { $0 + switchboard.pools[$1].waiting.count },
                busyPercent: switchboard.busyShare(now: moment.now), lettersSent: switchboard.lettersSent,
                lettersReceived: switchboard.lettersReceived, serversSent: switchboard.serversSent)
        ]
    }

    static func merged(
        _ own: [WorkerReport], _ shares: [any Sendable], _ switchboard: borrowing Switchboard
    ) -> [WorkerReport] {
        (own + shares.flatMap { $0 as? [WorkerReport] ?? [] }).sorted { $0.worker < $1.worker }
    }
}
