import Primitives

/// What operators type.
extension ScriptMaker {
    private static let looks = [
        "SHOW CLIENTS", "SHOW SERVERS", "SHOW POOLS", "SHOW STATS", "SHOW LISTS", "SHOW DATABASES",
        "SHOW USERS",
        "SHOW CONFIG", "SHOW SOCKETS", "SHOW ACTIVE_SOCKETS", "SHOW MEM", "SHOW FDS", "SHOW STATE",
        "SHOW TOTALS",
        "SHOW VERSION", "SHOW DNS_HOSTS", "SHOW HELP", "SHOW PEERS", "nonsense", "", "CONFIG DIFF",
        "SELECT database, sum(cl_waiting) FROM pools GROUP BY 1 ORDER BY 2 DESC", "SELECT * FROM clients",
    ]
    private static let orders = [
        "PAUSE", "PAUSE one", "RESUME", "RESUME one", "RECONNECT", "RECONNECT one", "RELOAD", "KILL one",
        "KILL",
        "DISABLE one", "ENABLE one", "WAIT_CLOSE", "WAIT_CLOSE one", "KILL_CLIENT 2", "SUSPEND",
    ]

    mutating func makeAdmin() -> Scenario.ClientScript {
        var script = Scenario.ClientScript(number: number, startsAt: random.below(30_000))
        script.database = "pgbouncer"
        isAdmin = true
        givesOrders = random.below(3) > 0
        script.maker = self
        return script
    }

    mutating func adminRound() {
        steps.append(.round)
        for _ in 0...(random.below(4) == 0 ? random.below(4) : 0) {
            let words = givesOrders && random.below(2) == 0 ? Self.orders : Self.looks
            let word = words[random.below(words.count)]
            steps.append(.query(word))
            if word.hasPrefix("PAUSE") || word.hasPrefix("KILL") || word == "SUSPEND" {
                // Somebody else, or nobody, makes it go on.
                if random.below(3) > 0 { steps += [.rest(random.below(50_000)), .query("RESUME")] }
            }
        }
        if random.below(4) > 0 { steps.append(.await) }
        steps.append(.rest(random.below(200_000)))
        if random.below(20) == 0 { steps.append(.vanish(reset: random.below(2) == 0)) }
    }
}
