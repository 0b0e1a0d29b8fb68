import Config
import Primitives

/// Writes the script of one client.
struct ScriptMaker {
    /// What a script may contain; a seed switches about half of it off.
    enum Feature: String, CaseIterable {
        case several, extended, flush, pipeline, errors, named, closes, deallocates, discards, cursors,
            transactions
        case copyIn, copyOut, call, sets, shows, cancels, vanishes, deaf, sleeps, big, notices, rests,
            strangers
        case mixed, terminates, unnamedAgain, huge, logins, longMessages
    }

    let number: Int
    let scenario: Scenario
    private let features: Set<Feature>
    var random: Random
    var tokens = 0
    var steps: [Step] = []
    /// Names that may be prepared.
    static let names = ["a", "b", "PGBOUNCER_1", "long_name_of_a_statement"]

    init(number: Int, scenario: Scenario, random: Random) {
        self.number = number
        self.scenario = scenario
        self.random = random
        features = Set(Feature.allCases.filter { scenario["does_" + $0.rawValue] > 0 })
    }

    func does(_ feature: Feature) -> Bool { features.contains(feature) }
    /// A feature that is on, one time in so many.
    mutating func does(_ feature: Feature, in chance: Int) -> Bool {
        does(feature) && random.below(chance) == 0
    }

    /// Statements outlive their batch only where they are followed, or where the server stays.
    var keepsStatements: Bool {
        scenario.mode == .session || scenario["max_prepared_statements"] > 0
    }

    mutating func token() -> String {
        tokens += 1
        return "~\(number).\(tokens)~"
    }

    mutating func make() -> Scenario.ClientScript {
        var script = Scenario.ClientScript(number: number, startsAt: random.below(30_000))
        if !does(.discards), random.below(4) == 0 {
            script.wishes =
                [[("application_name", "app\(number)")], [("DateStyle", "ISO, DMY")]][random.below(2)]
        }
        if scenario["many_pools"] > 0 {
            script.database = ["one", "two", "three", "auto1"][random.below(4)]
            script.user = ["anna", "bob"][random.below(2)]
        }
        if does(.logins, in: 4) {
            script.login = Scenario.Login.allCases[random.below(Scenario.Login.allCases.count)]
            let asks = script.login == .wrongPassword || script.login == .silent
            if asks, scenario["passwords"] == 0 { script.login = .plain }
        }
        let rounds = 1 + random.below(random.below(2) == 0 ? 40 : 200)
        for _ in 0..<rounds { round() }
        // Whatever a cancel left of a transaction; and in session mode others wait for the server.
        steps += [.await, .sync, .query("rollback"), .await]
        if does(.terminates) || scenario.mode == .session { steps.append(.terminate) }
        script.steps = steps
        return script
    }

    private mutating func round() {
        if does(.rests, in: 4) { steps.append(.rest(random.below(50_000))) }
        if does(.deaf, in: 10) { steps.append(.deaf(random.below(200_000))) }
        if does(.cancels, in: 4) { cancel() }
        if does(.transactions, in: 3), scenario.mode != .statement || random.below(6) == 0 {
            transaction()
        } else {
            exchange(inTransaction: false)
        }
        if does(.vanishes, in: 40) {
            if random.below(2) == 0 { steps.append(.cut(1 + random.below(12))) }
            steps.append(.vanish(reset: random.below(2) == 0))
        }
    }

    private mutating func cancel() {
        for _ in 0...random.below(2) {
            steps.append(
                .cancel(
                    after: random.below(20_000), rightKey: random.below(4) > 0, waits: random.below(3) > 0))
        }
    }

    private mutating func transaction() {
        steps.append(.query("begin"))
        if random.below(2) == 0 { steps.append(.await) }
        for _ in 0...random.below(4) {
            exchange(inTransaction: true)
            if does(.rests, in: 4) { steps.append(.rest(random.below(20_000))) }
        }
        steps.append(.query(random.below(2) == 0 ? "commit" : "rollback"))
        steps.append(.await)
    }

    mutating func exchange(inTransaction: Bool) {
        let kind = random.below(10)
        if does(.huge, in: 60) {
            huge()
        } else if does(.pipeline, in: 4) {
            for _ in 0...(1 + random.below(random.below(4) == 0 ? 19 : 4)) {
                if does(.extended), random.below(3) > 0 {
                    batch(inTransaction)
                } else {
                    simple(inTransaction)
                }
            }
        } else if kind < 2, does(.copyIn) {
            copyIn()
        } else if kind == 2, does(.call) {
            steps.append(.call(token()))
        } else if kind < 7, does(.extended) {
            batch(inTransaction)
        } else {
            simple(inTransaction)
        }
        steps.append(.await)
    }

    private mutating func simple(_ inTransaction: Bool) {
        if does(.discards, in: 10), !inTransaction { return steps.append(.query("discard all")) }
        if does(.deallocates, in: 6), keepsStatements {
            return steps.append(.query("deallocate " + (random.below(3) == 0 ? "all" : "\"\(anyName)\"")))
        }
        var sql = statement(inTransaction)
        if does(.several) { for _ in 0..<random.below(4) { sql += "; " + statement(inTransaction) } }
        if random.below(30) == 0 { sql = "" }
        steps.append(.query(sql + padding()))
    }

    /// Messages longer than a buffer: they are passed on in parts.
    mutating func padding() -> String {
        guard does(.longMessages, in: 5), scenario["splits"] < 100 else { return "" }
        return " @\([3000, 16_370, 16_384, 20_000, 65_536, 300_000][random.below(6)] + random.below(9))"
    }

    var anyName: String {
        mutating get { Self.names[random.below(Self.names.count)] }
    }

    mutating func statement(_ inTransaction: Bool) -> String {
        if does(.errors, in: 5) { return (random.below(3) == 0 ? "broken " : "error ") + token() }
        if does(.sleeps, in: 3) { return "sleep \(random.below(30_000)) \(token())" }
        if does(.sets, in: 4) { return setting(inTransaction) }
        if does(.shows, in: 3) {
            return "show \(SessionSettings.names[random.below(SessionSettings.names.count)]) \(token())"
        }
        if does(.notices, in: 6) { return "notice \(token())" }
        if does(.copyOut, in: 6) { return "copyout \(random.below(20)) \(token())" }
        let size = does(.big, in: 4) ? random.below(20_000) : random.below(20)
        return "rows \(random.below(random.below(8) == 0 ? 60 : 4)) \(token()) \(size)"
    }

    private mutating func setting(_ inTransaction: Bool) -> String {
        let values = [
            ("application_name", "it''s \(number)"), ("application_name", ""), ("DateStyle", "iso, dmy"),
            ("TimeZone", "Europe/Rome"), ("IntervalStyle", "iso_8601"), ("search_path", "a, b"),
            ("TimeZone", "bad"), ("client_encoding", "LATIN1"),
        ]
        let (name, value) = values[random.below(values.count)]
        let local = inTransaction && random.below(3) == 0 ? "local " : ""
        return "set \(local)\(name)='\(value)'"
    }

    private mutating func copyIn() {
        let fails = does(.errors, in: 3) ? " \(random.below(4))" : ""
        let sql = "copyin \(token())\(fails)"
        let isExtended = does(.extended, in: 2)
        if isExtended {
            steps += [.parse("", sql), .bind(portal: "", statement: "", token: ""), .execute("", limit: 0)]
            switch random.below(3) {
            case 0: steps += [.flush, .await]
            case 1: steps.append(.sync)  // as libpq does; ignored when the copy begins
            default: break
            }
        } else {
            steps.append(.query(sql))
            if random.below(2) == 0 { steps.append(.await) }
        }
        for _ in 0..<random.below(5) { steps.append(.copyData(random.below(does(.big) ? 9000 : 50))) }
        steps.append(does(.errors, in: 4) ? .copyFail : .copyDone)
        if isExtended { steps.append(.sync) }
    }
}
