/// Makes a failing scenario small: drops clients, then faults, then statements, as long as the same oracle
/// complains.
package struct Shrink {
    package private(set) var scenario: Scenario
    private let oracle: String
    /// Runs so far, and how many are allowed.
    package private(set) var runs = 0
    private let limit = 4000

    /// `nil` when the scenario does not fail.
    package init?(_ scenario: Scenario) {
        let world = World(scenario)
        world.run()
        guard let finding = world.verdict.finding else { return nil }
        self.scenario = world.played
        oracle = Self.kind(finding)
    }

    /// The oracle and the words it uses: numbers, tokens and names may change while shrinking.
    private static func kind(_ finding: String) -> String {
        String(finding.filter { !$0.isNumber && $0 != "Z" && $0 != "." }.prefix(110))
    }

    package mutating func run() {
        var before = ""
        while before != scenario.text, runs < limit {
            before = scenario.text
            dropClients()
            dropDeeds()
            calmOptions()
            for index in scenario.clients.indices { dropSteps(of: index) }
        }
    }

    private mutating func fails(_ candidate: Scenario) -> Bool {
        guard runs < limit else { return false }
        runs += 1
        let world = World(candidate)
        world.run(until: 400_000)
        guard let finding = world.verdict.finding, Self.kind(finding) == oracle else { return false }
        scenario = candidate
        return true
    }

    private mutating func dropClients() {
        var index = 0
        while index < scenario.clients.count {
            var candidate = scenario
            candidate.clients.remove(at: index)
            if !fails(candidate) { index += 1 }
        }
    }

    private mutating func dropDeeds() {
        var index = 0
        while index < scenario.deeds.count {
            var candidate = scenario
            candidate.deeds.remove(at: index)
            if !fails(candidate) { index += 1 }
        }
    }

    private mutating func calmOptions() {
        let calm = [
            ("splits", 0), ("stalls", 0), ("short_reads", 0), ("window", 65536), ("slowness", 0),
            ("latency", 1),
            ("connect_fails", 0), ("login_fails", 0), ("long_keys", 0), ("min_pool_size", 0), ("verbose", 0),
            ("reserve_pool_size", 0), ("query_timeout", 0), ("query_wait_timeout", 0),
            ("query_wait_notify", 0),
            ("idle_transaction_timeout", 0), ("transaction_timeout", 0), ("client_idle_timeout", 0),
            ("client_login_timeout", 0), ("cancel_wait_timeout", 0), ("server_idle_timeout", 0),
            ("server_lifetime", 0), ("server_check_delay", 30_000), ("server_round_robin", 0),
            ("server_reset_query_always", 0), ("connect_query", 0), ("hostile", 0), ("cancel_hangs", 0),
            ("login_silent", 0), ("passwords", 0), ("late_signals", 0), ("buffer", 0), ("lives", 0),
            ("max_db_connections", 0), ("max_user_connections", 0), ("max_prepared_statements", 200),
        ]
        for (name, value) in calm where scenario[name] != value {
            var candidate = scenario
            candidate[name] = value
            _ = fails(candidate)
        }
    }

    private mutating func dropSteps(of client: Int) {
        var size = max(1, scenario.clients[client].steps.count / 2)
        while size >= 1 {
            var start = 0
            while start < scenario.clients[client].steps.count {
                var candidate = scenario
                let end = min(start + size, candidate.clients[client].steps.count)
                candidate.clients[client].steps.removeSubrange(start..<end)
                if !fails(candidate) { start += size }
            }
            size /= 2
        }
    }
}
