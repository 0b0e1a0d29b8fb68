import Primitives

/// Makes a scenario from a seed. Swarm: every seed switches about half of the features and of the faults off,
/// so that rare combinations meet undisturbed.
extension Scenario {
    /// `workers`: as many, whatever the seed says.
    package static func make(seed: UInt64, workers: Int? = nil) -> Scenario {
        var scenario = Scenario(seed: seed)
        var random = Random(seed: seed ^ 0x5CE7_A210)
        scenario.makeOptions(&random)
        scenario.makeCrew(workers)
        scenario.makeAuth()
        let clients = 1 + random.below(random.below(3) == 0 ? 14 : 6)
        scenario.makeDeeds(&random)
        for number in 0..<clients {
            var maker = ScriptMaker(number: number, scenario: scenario, random: Random(seed: random.next()))
            scenario.clients.append(maker.make())
        }
        scenario.makeLogins()
        guard random.below(5) == 0 else { return scenario }
        for number in clients..<(clients + 1 + random.below(2)) {
            var maker = ScriptMaker(number: number, scenario: scenario, random: Random(seed: random.next()))
            scenario.clients.append(maker.makeAdmin())
        }
        return scenario
    }

    private mutating func makeOptions(_ random: inout Random) {
        func sometimes(_ name: String, _ values: [Int], else other: Int = 0, in chance: Int = 2) {
            self[name] = random.below(chance) == 0 ? values[random.below(values.count)] : other
        }
        self["mode"] = [0, 1, 1, 1, 1, 2][random.below(6)]
        self["pool_size"] = 1 + random.below(4)
        sometimes("max_prepared_statements", [1, 2, 3, 0], else: 200)
        sometimes("splits", [5, 30, 100])
        self["latency"] = [1, 100, 2000][random.below(3)]
        sometimes("stalls", [2, 20], in: 4)
        sometimes("short_reads", [16, 100, 4000], in: 3)
        sometimes("window", [64, 500, 4096], else: 65536)
        sometimes("slowness", [50, 3000])
        self["connect_latency"] = [100, 10_000][random.below(2)]
        self["cancel_latency"] = [10, 20_000][random.below(2)]
        sometimes("long_keys", [1], in: 4)
        sometimes("connect_fails", [5, 30], in: 8)
        sometimes("login_fails", [5, 30], in: 8)
        self["server_login_retry"] = [50, 1000][random.below(2)]
        sometimes("min_pool_size", [1, 2], in: 5)
        sometimes("reserve_pool_size", [1, 2], in: 5)
        self["reserve_pool_timeout"] = 5 + random.below(50)
        sometimes("query_timeout", [20, 500], in: 8)
        sometimes("query_wait_timeout", [20, 500], in: 8)
        sometimes("query_wait_notify", [1, 20], in: 5)
        sometimes("idle_transaction_timeout", [5, 200], in: 8)
        sometimes("transaction_timeout", [20, 500], in: 8)
        sometimes("client_idle_timeout", [20, 500], in: 10)
        sometimes("client_login_timeout", [200], else: 0, in: 10)
        sometimes("cancel_wait_timeout", [5, 100], in: 4)
        sometimes("server_idle_timeout", [20, 500], else: 0, in: 4)
        sometimes("server_lifetime", [1, 30, 500], else: 0, in: 4)
        sometimes("server_check_delay", [0, 1], else: 30_000, in: 4)
        sometimes("server_round_robin", [1], in: 3)
        sometimes("server_reset_query_always", [1], in: 5)
        sometimes("connect_query", [1], in: 5)
        sometimes("verbose", [2], in: 5)
        sometimes("cancel_hangs", [10, 50], in: 6)
        sometimes("login_silent", [10, 50], in: 8)
        sometimes("late_timers", [1000, 100_000], in: 4)
        sometimes("max_client_conn", [2, 5], in: 8)
        sometimes("passwords", [1], in: 4)
        sometimes("many_pools", [1], in: 4)
        sometimes("max_db_connections", [1, 2, 4], in: 8)
        sometimes("max_user_connections", [1, 2, 4], in: 8)
        sometimes("hostile", [2, 20], in: 5)
        for feature in ScriptMaker.Feature.allCases { sometimes("does_" + feature.rawValue, [1]) }
        // The faults stop after so many events, or when nothing moves any more.
        self["events"] = 20_100
        self["calm_at"] = 1_000_000_000
        self["lives"] = 1000
        self["patience"] = 30_000_000
        sometimes("late_signals", [1, 4], in: 3)
        sometimes("buffer", [4096, 16_384], else: 65_536)
        self["pool_size_later"] = self["pool_size"]
    }

    /// Half of the seeds have one worker. From numbers of its own, so that seeds stay what they are.
    private mutating func makeCrew(_ wanted: Int?) {
        var random = Random(seed: seed ^ 0xC4E3_0B0D)
        let drawn = [1, 1, 1, 1, 1, 2, 2, 3, 3, 8][random.below(10)]
        let workers = min(64, wanted ?? drawn)
        guard workers > 1 else { return }
        self["workers"] = workers
        self["letter_latency"] = [1, 50, 500, 20_000][random.below(4)]
        if random.below(6) == 0 { self["letter_stalls"] = [2, 20][random.below(2)] }
    }

    /// Who asks whom for passwords, and how.
    private mutating func makeAuth() {
        var random = Random(seed: seed ^ 0xA074_0001)
        if self["passwords"] > 0 { self["client_auth"] = 1 + random.below(3) }
        guard random.below(3) == 0 else { return }
        self["server_auth"] = [1, 2, 3, 3][random.below(4)]
        if random.below(3) == 0 { self["login_evil"] = [5, 30][random.below(2)] }
        let isScram = self["client_auth"] == 3 && self["server_auth"] == 3 && self["many_pools"] == 0
        if isScram, random.below(2) == 0 { self["verifiers"] = 1 }
    }

    /// Some clients prove nothing.
    private mutating func makeLogins() {
        guard self["client_auth"] > 0 else { return }
        var random = Random(seed: seed ^ 0xA074_0002)
        let kinds: [Login] = [.wrongPassword, .silent, .cutExchange, .garbledExchange, .garbledExchange]
        for place in clients.indices where random.below(3) == 0 {
            clients[place].login = kinds[random.below(kinds.count)]
        }
    }

    private mutating func makeDeeds(_ random: inout Random) {
        guard random.below(2) == 0 else { return }
        let kinds = Deed.What.allCases.filter { _ in random.below(4) == 0 }
        guard !kinds.isEmpty else { return }
        for _ in 0..<(1 + random.below(12)) {
            let what = kinds[random.below(kinds.count)]
            let ends = what == .endWithServers || what == .endWithClients
            if ends, random.below(4) > 0 { continue }
            let at = ends ? self["events"] - 1 - random.below(50) : random.below(self["events"])
            deeds.append(Deed(at: at, what: what))
            if what == .reload { self["pool_size_later"] = 1 + random.below(4) }
        }
        deeds.sort { $0.at < $1.at }
    }
}
