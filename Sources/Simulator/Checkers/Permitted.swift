import Config

/// The permitted differences between a pooled session and a direct one: O2's written list.
///
/// - A notice that the client waits for a server, when `query_wait_notify` is on.
/// - One FATAL of the pooler, with a text that the options of the run explain; nothing but the end follows.
/// - An error for a cancel request that met its client in line.
/// - Another number behind `PGBOUNCER_` in the text of an error, when that is what the client called its
///   statement.
/// - The end without a word, in the middle of a message.
struct Permitted {
    private var fatals: [String] = []
    /// Which option makes the pooler say what, in milliseconds.
    static let timeouts = [
        ("query_wait_timeout", "query_wait_timeout"), ("query timeout", "query_timeout"),
        ("idle transaction timeout", "idle_transaction_timeout"),
        ("transaction timeout", "transaction_timeout"), ("client_idle_timeout", "client_idle_timeout"),
        ("client_login_timeout", "client_login_timeout"),
    ]
    private let notifies: Bool
    let mayEndSilently: Bool
    private let hasStatementMode: Bool

    init(_ scenario: Scenario) {
        notifies = scenario["query_wait_notify"] > 0
        hasStatementMode = scenario.mode == .statement
        var deeds = Set(scenario.deeds.map(\.what))
        if scenario.clients.contains(where: { $0.database == "pgbouncer" }) {
            // Who may give orders may do all of this.
            deeds.formUnion([.killDatabase, .killClient])
        }
        let serversDie =
            !deeds.isDisjoint(with: [.killServer, .shutDownServer]) || scenario["hostile"] > 0
        let timesOut = ["query_timeout", "transaction_timeout", "idle_transaction_timeout"].contains {
            scenario[$0] > 0
        }
        mayEndSilently =
            serversDie || timesOut || deeds.contains(.killDatabase) || deeds.contains(.killClient)
        let reasons: [(Bool, [String])] = [
            (
                serversDie,
                [
                    "server conn crashed?", "terminating connection due to administrator command",
                    "server login has been failing", "connect failed", "server connection closed",
                    "invalid server parameter",
                ]
            ),
            (
                deeds.contains(.refuseConnections) || scenario["login_fails"] > 0
                    || scenario["connect_fails"] > 0
                    || scenario["login_silent"] > 0,
                [
                    "server login has been failing", "connect failed", "the database system is starting up",
                    "sorry, too many clients already", "server conn crashed?", "connect timeout",
                ]
            ),
            (
                scenario["login_evil"] > 0,
                [
                    "server login has been failing", "server login failed", "password authentication failed",
                    "bad packet", "unknown pkt", "server conn crashed?", "connect timeout",
                ]
            ),
            (scenario["query_wait_timeout"] > 0, ["query_wait_timeout"]),
            (scenario["query_timeout"] > 0, ["query timeout", "query_timeout"]),
            (scenario["idle_transaction_timeout"] > 0, ["idle transaction timeout"]),
            (scenario["transaction_timeout"] > 0, ["transaction timeout"]),
            (scenario["client_idle_timeout"] > 0, ["client_idle_timeout"]),
            (scenario["client_login_timeout"] > 0, ["client_login_timeout"]),
            (deeds.contains(.removeDatabase), ["database removed", "no such database"]),
            (
                deeds.contains(.freeze),
                [
                    "server login has been failing", "connect failed", "connect timeout",
                    "server conn crashed?",
                ]
            ),
            (deeds.contains(.killClient), ["admin forced disconnect"]),
            (
                deeds.contains(.killDatabase),
                [
                    "admin forced disconnect", "database removed", "database \"one\" is disabled",
                    "suspend_timeout",
                ]
            ),
            (
                deeds.contains(.endWithServers) || deeds.contains(.endWithClients),
                ["server shutting down", "pooler is shutting down"]
            ),
            (scenario["max_client_conn"] > 0, ["no more connections allowed (max_client_conn)"]),
        ]
        for (holds, texts) in reasons where holds { fatals += texts }
    }

    func allows(_ text: String, insteadOf ideal: String) -> Bool {
        text == ideal || ideal.contains("\"PGBOUNCER_") && text.contains("\"PGBOUNCER_")
    }

    func allows(notice text: String) -> Bool { notifies && text.hasPrefix("No server connection available") }

    func allows(fatal report: Report, to client: SimulatedClient) -> Bool {
        if client.hasBrokenFraming, report.state == "08P01" { return true }
        if hasStatementMode, report.text == "transaction blocks not allowed in statement pooling mode" {
            return true
        }
        return fatals.contains { report.text.hasPrefix($0) }
    }
}
