/// The options that are asked for at every event, looked up once.
struct Knobs {
    let splits: Int
    let latency: Int
    let stalls: Int
    let shortReads: Int
    let window: Int
    let slowness: Int
    let hostile: Int
    let lateTimers: Int
    let horizon: Int
    let sessionsLimit: Int

    init(_ scenario: Scenario) {
        splits = scenario["splits"]
        latency = max(1, scenario["latency"])
        stalls = scenario["stalls"]
        shortReads = scenario["short_reads"]
        window = max(64, scenario["window"])
        slowness = scenario["slowness"]
        hostile = scenario["hostile"]
        lateTimers = scenario["late_timers"]
        horizon = scenario["calm_at"] + scenario["patience"]
        sessionsLimit =
            max(scenario["pool_size"], scenario["pool_size_later"]) + scenario["reserve_pool_size"]
    }
}
