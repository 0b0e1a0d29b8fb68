import Config
import Engine
import Primitives
import Session

/// A pool as SHOW prints it.
struct PoolReport {
    let pool: PoolID
    let database: ByteString
    let user: ByteString
    var activeClients = 0
    var waitingClients = 0
    var activeCancels = 0
    var waitingCancels = 0
    var servers: [ServerListing: Int] = [:]
    var longestWait = TimeSpan.zero
    var label: PoolLabel { PoolLabel(database: database, user: user) }
    let mode: PoolMode
    let loadBalance: ByteString?
}

struct ShowPools: ShowCommand {
    static let words = "SHOW POOLS"
    static let doc = "One row a pool: its clients and its server connections by state."
    static let columns: [Column<PoolReport>] = [
        .text("database", "Name of the database that clients ask for") { $0.database },
        .text("user", "User the server connections are logged in as") { $0.user },
        .int4("cl_active", "Clients that have a server or are idle") { $0.activeClients },
        .int4("cl_waiting", "Clients waiting for a server") { $0.waitingClients },
        .int4("cl_active_cancel_req", "Cancel requests that were passed on") { $0.activeCancels },
        .int4("cl_waiting_cancel_req", "Cancel requests not passed on yet") { $0.waitingCancels },
        .int4("sv_active", "Servers that work for a client") { $0.servers[.active, default: 0] },
        .int4("sv_active_cancel", "Connections that carry a cancel request") {
            $0.servers[.activeCancel, default: 0]
        },
        .int4("sv_being_canceled", "Servers kept back until a cancel request has arrived") {
            $0.servers[.beingCanceled, default: 0]
        },
        .int4("sv_idle", "Servers ready for the next client") { $0.servers[.idle, default: 0] },
        .int4("sv_used", "Idle servers that are checked before the next client") {
            $0.servers[.used, default: 0]
        },
        .int4("sv_tested", "Servers that run a check or reset query") { $0.servers[.tested, default: 0] },
        .int4("sv_login", "Servers being connected") { $0.servers[.new, default: 0] },
        .int4("maxwait", "How long the first client in line has waited, in whole seconds") {
            $0.longestWait.wholeSeconds
        },
        .int4("maxwait_us", "The microseconds beyond these seconds") {
            $0.longestWait.wholeMicroseconds % 1_000_000
        },
        .text("pool_mode", "Pool mode in force") { $0.mode.name },
        .text("load_balance_hosts", "How a list of hosts takes turns; NULL when there is no list") {
            $0.loadBalance
        },
    ]

    static let asksAll = true

    static func merged(
        _ own: [PoolReport], _ shares: [any Sendable], _ switchboard: borrowing Switchboard
    ) -> [PoolReport] {
        var all = own
        var places: [PoolLabel: Int] = [:]
        for (place, report) in all.enumerated() { places[report.label] = place }
        for report in shares.flatMap({ $0 as? [PoolReport] ?? [] }) {
            guard let place = places[report.label] else { continue }
            // Our own count has every client in it, those in line elsewhere, too.
            all[place].activeClients = max(0, all[place].activeClients - report.waitingClients)
            all[place].waitingClients += report.waitingClients
            all[place].activeCancels += report.activeCancels
            all[place].waitingCancels += report.waitingCancels
            all[place].servers.merge(report.servers, uniquingKeysWith: +)
            all[place].longestWait = max(all[place].longestWait, report.longestWait)
        }
        return all
    }

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [PoolReport] {
        var reports = switchboard.poolsInOrder().map { pool, database, user in
            var report = PoolReport(
                pool: pool, database: database, user: user, mode: switchboard.pools[pool].settings.mode,
                loadBalance: switchboard.databases[switchboard.pools[pool].database].entry.shownLoadBalance)
            let inLine = switchboard.pools[pool].waiting
            report.waitingClients = inLine.count + switchboard.pools[pool].replicationLine.count
            report.activeClients = max(0, switchboard.pools[pool].clients - report.waitingClients)
            if pool == switchboard.consolePool { report.activeClients = switchboard.consoleClients }
            if let slot = inLine.first, let first = switchboard.clients.id(at: slot) {
                report.longestWait = switchboard.queueTime(of: first, now: moment.now)
            }
            return report
        }
        var places: [PoolID: Int] = [:]
        for (place, report) in reports.enumerated() { places[report.pool] = place }
        for server in switchboard.serverIDs {
            guard let place = places[switchboard.servers[server].pool] else { continue }
            let listing = switchboard.listing(of: server, now: moment.now)
            reports[place].servers[listing, default: 0] += 1
        }
        for (_, pool, isSent) in switchboard.cancelClients() {
            guard let place = places[pool] else { continue }
            if isSent { reports[place].activeCancels += 1 } else { reports[place].waitingCancels += 1 }
        }
        return reports
    }
}
