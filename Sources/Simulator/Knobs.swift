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
    /// The largest piece that arrives at once, as a driver's buffer has it; 0 for any.
    let buffer: Int
    let patience: Int
    let events: Int
    let lives: Int
    let clientsLimit: Int
    /// A cancel request's signal may act when the connection that brought it has ended, one time in so many.
    let lateSignals: Int
    let sessionsLimit: Int
    let databaseLimit: Int
    let userLimit: Int
    /// A letter takes up to so many microseconds; one in a thousand times `letterStalls` much longer.
    /// How the model PostgreSQL asks for passwords, and how many logins in a hundred it spoils.
    let serverAuth: PasswordMethod
    let loginEvil: Int
    let letterLatency: Int
    let letterStalls: Int
    var longestLetter: Int { letterLatency + (letterStalls > 0 ? 200_000 : 0) }

    init(_ scenario: Scenario) {
        splits = scenario["splits"]
        latency = max(1, scenario["latency"])
        stalls = scenario["stalls"]
        shortReads = scenario["short_reads"]
        window = max(64, scenario["window"])
        slowness = scenario["slowness"]
        hostile = scenario["hostile"]
        lateTimers = scenario["late_timers"]
        buffer = scenario["buffer"]
        patience = scenario["patience"]
        events = scenario["events"]
        lives = scenario["lives"]
        clientsLimit = scenario["max_client_conn"]
        lateSignals = scenario["late_signals"]
        databaseLimit = scenario["max_db_connections"]
        userLimit = scenario["max_user_connections"]
        serverAuth = PasswordMethod(rawValue: scenario["server_auth"]) ?? .none
        loginEvil = scenario["login_evil"]
        letterLatency = max(1, scenario["letter_latency"])
        letterStalls = scenario["letter_stalls"]
        sessionsLimit =
            max(scenario["pool_size"], scenario["pool_size_later"]) + scenario["reserve_pool_size"]
    }
}
