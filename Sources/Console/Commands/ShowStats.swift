import Engine
import Primitives

/// What SHOW prints of some counters: what they came to altogether, and a second's share of the last whole
/// period. Times in microseconds.
struct StatsReport {
    let database: ByteString
    let total: PoolCounters
    let average: PoolCounters
    /// What these were made of.
    private let sum: PoolCounters
    private let lastPeriod: PoolCounters
    private let span: TimeSpan

    /// Several workers' counters of one database together; each looks back on its own last period.
    func adding(_ others: [StatsReport]) -> StatsReport {
        var sum = sum
        var period = lastPeriod
        for other in others {
            sum.add(other.sum)
            period.add(other.lastPeriod)
        }
        return StatsReport(database: database, sum: sum, lastPeriod: period, span: span)
    }

    init(database: ByteString, sum: PoolCounters, lastPeriod: PoolCounters, span: TimeSpan) {
        self.database = database
        self.sum = sum
        self.lastPeriod = lastPeriod
        self.span = span
        var total = sum
        total.transactionTime /= 1000
        total.queryTime /= 1000
        total.waitTime /= 1000
        self.total = total
        average = Self.average(lastPeriod, span)
    }

    /// Counts a second; transaction and query times for each of them; waiting time a second.
    private static func average(_ period: PoolCounters, _ span: TimeSpan) -> PoolCounters {
        let perSecond = { (count: UInt64) -> UInt64 in
            span.isZero ? 0 : UInt64(clamping: Int128(count) * 1_000_000_000 / Int128(span.nanoseconds))
        }
        var average = PoolCounters()
        average.serverAssignments = perSecond(period.serverAssignments)
        average.transactions = perSecond(period.transactions)
        average.queries = perSecond(period.queries)
        average.bytesFromClients = perSecond(period.bytesFromClients)
        average.bytesFromServers = perSecond(period.bytesFromServers)
        average.clientParses = perSecond(period.clientParses)
        average.serverParses = perSecond(period.serverParses)
        average.binds = perSecond(period.binds)
        average.clientLogins = perSecond(period.clientLogins)
        average.waitTime = perSecond(period.waitTime / 1000)
        if period.transactions > 0 {
            average.transactionTime = period.transactionTime / 1000 / period.transactions
        }
        if period.queries > 0 { average.queryTime = period.queryTime / 1000 / period.queries }
        return average
    }
}

extension ShowCommand where Row == StatsReport {
    static var asksAll: Bool { true }

    /// The keeper has every pool, so its databases are all there are.
    static func merged(
        _ own: [StatsReport], _ shares: [any Sendable], _ switchboard: borrowing Switchboard
    ) -> [StatsReport] {
        let others = shares.flatMap { $0 as? [StatsReport] ?? [] }
        return own.map { report in report.adding(others.filter { $0.database == report.database }) }
    }
}

extension Switchboard {
    /// One report for each database that has a pool, by name.
    func statsByDatabase() -> [StatsReport] {
        var reports: [StatsReport] = []
        var sum = PoolCounters()
        var period = PoolCounters()
        let inOrder = poolsInOrder()
        for (index, (pool, database, _)) in inOrder.enumerated() {
            sum.add(pools[pool].counters)
            period.add(pools[pool].lastPeriod)
            if index + 1 < inOrder.count, inOrder[index + 1].database == database { continue }
            reports.append(
                StatsReport(database: database, sum: sum, lastPeriod: period, span: lastPeriodSpan))
            sum = PoolCounters()
            period = PoolCounters()
        }
        return reports
    }

    func statsOfAll() -> StatsReport {
        var sum = PoolCounters()
        var period = PoolCounters()
        for pool in poolIDs {
            sum.add(pools[pool].counters)
            period.add(pools[pool].lastPeriod)
        }
        return StatsReport(database: "", sum: sum, lastPeriod: period, span: lastPeriodSpan)
    }
}

/// The counters in PgBouncer's order, and what each of its four tables calls them.
struct StatsColumn: Sendable {
    let total: String
    let average: String
    let plain: String
    let plainAverage: String
    /// In SHOW TOTALS, behind `total_` and `avg_`.
    let row: String
    let doc: String
    let counter: @Sendable (PoolCounters) -> UInt64

    /// The names that are not made from `name` are given.
    init(
        _ name: String, average: String? = nil, plain: String? = nil, averagePlain: String? = nil,
        row: String? = nil, _ doc: String,
        _ counter: @escaping @Sendable (PoolCounters) -> UInt64
    ) {
        total = "total_" + name
        self.average = average ?? "avg_" + name
        self.plain = plain ?? name
        plainAverage = averagePlain ?? plain ?? name
        self.row = row ?? name
        self.doc = doc
        self.counter = counter
    }

    static let all = [
        StatsColumn("server_assignment_count", "Servers lent to clients") { $0.serverAssignments },
        StatsColumn("xact_count", "Transactions") { $0.transactions },
        StatsColumn("query_count", "Queries") { $0.queries },
        StatsColumn(
            "received", average: "avg_recv", plain: "bytes_received", row: "client_bytes",
            "Bytes from clients"
        ) { $0.bytesFromClients },
        StatsColumn("sent", plain: "bytes_sent", row: "server_bytes", "Bytes from servers") {
            $0.bytesFromServers
        },
        StatsColumn("xact_time", "Microseconds in transactions") { $0.transactionTime },
        StatsColumn("query_time", "Microseconds in queries") { $0.queryTime },
        StatsColumn("wait_time", "Microseconds clients waited for a server") { $0.waitTime },
        StatsColumn(
            "client_parse_count", averagePlain: "avg_client_parse_count", row: "ps_client_parse_count",
            "Statements prepared by clients"
        ) { $0.clientParses },
        StatsColumn(
            "server_parse_count", averagePlain: "avg_server_parse_count", row: "ps_server_parse_count",
            "Statements prepared on servers"
        ) { $0.serverParses },
        StatsColumn(
            "bind_count", averagePlain: "avg_bind_count", row: "ps_bind_count", "Prepared statements bound"
        ) { $0.binds },
        StatsColumn("client_login_count", averagePlain: "avg_client_login_count", "Logins of clients") {
            $0.clientLogins
        },
    ]

    static let database: Column<StatsReport> =
        .text("database", "Name of the database that clients ask for") { $0.database }

    /// This counter altogether.
    func ofTotal(_ name: String) -> Column<StatsReport> {
        let counter = counter
        return .numeric(name, doc + ", altogether") { counter($0.total) }
    }

    /// This counter in the last period.
    func ofAverage(_ name: String) -> Column<StatsReport> {
        let counter = counter
        return .numeric(name, doc + ", average of the last stats_period") { counter($0.average) }
    }
}

struct ShowStats: ShowCommand {
    static let words = "SHOW STATS"
    static let doc = "What happened in each database, altogether and on average."
    static let columns: [Column<StatsReport>] =
        [StatsColumn.database] + StatsColumn.all.map { $0.ofTotal($0.total) }
        + StatsColumn.all.map { $0.ofAverage($0.average) }

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [StatsReport] {
        switchboard.statsByDatabase()
    }
}

struct ShowStatsTotals: ShowCommand {
    static let words = "SHOW STATS_TOTALS"
    static let doc = "What happened in each database altogether."
    static let columns: [Column<StatsReport>] =
        [StatsColumn.database] + StatsColumn.all.map { $0.ofTotal($0.plain) }

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [StatsReport] {
        switchboard.statsByDatabase()
    }
}

struct ShowStatsAverages: ShowCommand {
    static let words = "SHOW STATS_AVERAGES"
    static let doc = "What happened in each database, on average of the last period."
    static let columns: [Column<StatsReport>] =
        [StatsColumn.database] + StatsColumn.all.map { $0.ofAverage($0.plainAverage) }

    static func rows(_ switchboard: borrowing Switchboard, at moment: Moment) -> [StatsReport] {
        switchboard.statsByDatabase()
    }
}

struct ShowTotals: ShowCommand {
    static let words = "SHOW TOTALS"
    static let doc = "The sums of SHOW STATS over all databases, one row a counter."
    static let columns: [Column<(name: ByteString, value: UInt64)>] = [
        .text("name", "Name of the counter") { $0.name },
        .numeric("value", "What it came to") { $0.value },
    ]

    static func rows(
        _ switchboard: borrowing Switchboard, at moment: Moment
    ) -> [(name: ByteString, value: UInt64)] {
        rows(of: switchboard.statsOfAll())
    }

    static let asksAll = true
    static func share(_ switchboard: borrowing Switchboard, at moment: Moment) -> any Sendable {
        switchboard.statsOfAll()
    }
    static func merged(
        _ own: [Row], _ shares: [any Sendable], _ switchboard: borrowing Switchboard
    ) -> [Row] {
        rows(of: switchboard.statsOfAll().adding(shares.compactMap { $0 as? StatsReport }))
    }

    private static func rows(of report: StatsReport) -> [Row] {
        StatsColumn.all.map { (ByteString("total_" + $0.row), $0.counter(report.total)) }
            + StatsColumn.all.map { (ByteString("avg_" + $0.row), $0.counter(report.average)) }
    }
}
