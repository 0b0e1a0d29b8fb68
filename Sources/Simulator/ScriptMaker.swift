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
        case breaks, savepoints, listens, mixed, terminates, unnamedAgain, huge, logins, longMessages
    }

    let number: Int
    var isAdmin = false
    var givesOrders = false
    let scenario: Scenario
    private let features: Set<Feature>
    var random: Random
    /// It waits for its answers after one round in so many, and sends on until then.
    private var patience = 1
    var tokens = 0
    var steps: [Step] = []
    /// Names that may be prepared.
    static let names = ["a", "b", "PGBOUNCER_1", "long_name_of_a_statement"]

    init(number: Int, scenario: Scenario, random: Random) {
        self.number = number
        self.scenario = scenario
        self.random = random
        features = Set(Feature.allCases.filter { scenario["does_" + $0.rawValue] > 0 })
        patience = [1, 1, 1, 2, 4][self.random.below(5)]
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
            script.login = Scenario.Login.ofAnyAuth[random.below(Scenario.Login.ofAnyAuth.count)]
            let asks = script.login == .wrongPassword || script.login == .silent
            if asks, scenario["passwords"] == 0 { script.login = .plain }
        }
        script.maker = self
        return script
    }

    /// A few steps more, or the last ones.
    mutating func next(isLast: Bool) -> [Step] {
        steps.removeAll(keepingCapacity: true)
        if isAdmin {
            if isLast { steps.append(.await) } else { adminRound() }
        } else if !isLast {
            round()
        } else {
            // Whatever a cancel left of a transaction; and in session mode others wait for the server.
            steps += [.await, .sync, .query("rollback"), .await]
            if does(.terminates) || scenario.mode == .session { steps.append(.terminate) }
        }
        return steps
    }

    private mutating func round() {
        steps.append(.round)
        if does(.rests, in: 4) { steps.append(.rest(random.below(50_000))) }
        if does(.deaf, in: 10) { steps.append(.deaf(random.below(200_000))) }
        if does(.cancels, in: 4) { cancel() }
        if does(.transactions, in: 3), scenario.mode != .statement || random.below(6) == 0 {
            transaction()
        } else {
            exchange(inTransaction: false)
        }
        if random.below(patience) == 0 { steps.append(.await) }
        if does(.vanishes, in: 40) {
            switch random.below(4) {
            case 0: steps.append(.cut(1 + random.below(12)))
            case 2: steps.append(.halfClose)
            case 1: steps.append(.vanish(reset: random.below(2) == 0))
            default: steps += [.cut(12_000 + random.below(40_000)), .query("rows 1 \(token()) @60000")]
            }
        }
        if does(.breaks, in: 40) {
            let kinds: [UInt8] = [0x51, 0x50, 0x42, 0x45, 0x53, 0x64, 0x46]
            let lengths: [UInt32] = [0, 1, 3, .max, .max - 4, 1 << 31]
            if random.below(2) == 0 { steps.append(.await) }
            steps.append(
                .broken(kinds[random.below(kinds.count)], length: lengths[random.below(lengths.count)]))
        }
        if does(.terminates, in: 40) { steps += [.await, .terminate] }
        // In session mode somebody waits for the server.
        if scenario.mode == .session, random.below(12) == 0 { steps += [.await, .terminate] }
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
            if does(.savepoints, in: 2) { savepoint() }
            exchange(inTransaction: true)
            if does(.rests, in: 4) { steps.append(.rest(random.below(20_000))) }
        }
        steps.append(.query(random.below(2) == 0 ? "commit" : "rollback"))
        steps.append(.await)
    }

    private mutating func savepoint() {
        let verb = ["savepoint", "savepoint", "rollback to", "release"][random.below(4)]
        let sql = "\(verb) \(["s1", "s2"][random.below(2)])"
        guard does(.extended, in: 3) else { return steps.append(.query(sql)) }
        let name = keepsStatements && does(.named) ? anyName : ""
        steps += [
            .parse(name, sql), .bind(portal: "", statement: name, token: ""), .execute("", limit: 0), .sync,
        ]
    }

    mutating func exchange(inTransaction: Bool) {
        let kind = random.below(10)
        if does(.huge, in: 1000) {
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
        guard does(.longMessages, in: 10), scenario["splits"] < 100 else { return "" }
        let sizes = [3000, 16_370, 16_384, 20_000, random.below(6) > 0 ? 3000 : 65_536]
        let size = random.below(60) == 0 ? 300_000 : sizes[random.below(sizes.count)]
        return " @\(size + random.below(9))"
    }

    var anyName: String {
        mutating get { Self.names[random.below(Self.names.count)] }
    }

    mutating func statement(_ inTransaction: Bool) -> String {
        if does(.errors, in: 5) { return (random.below(3) == 0 ? "broken " : "error ") + token() }
        if does(.sleeps, in: 3) { return "sleep \(random.below(30_000)) \(token())" }
        if does(.sets, in: 4) { return setting(inTransaction) }
        // Elsewhere what is said goes to whoever has the server.
        if scenario.mode == .session, does(.listens, in: 4) {
            let channel = ["one", "two"][random.below(2)]
            return random.below(2) == 0 ? "listen \(channel)" : "notify \(channel) \(token())"
        }
        if does(.shows, in: 3) {
            return "show \(SessionSettings.names[random.below(SessionSettings.names.count)]) \(token())"
        }
        if does(.notices, in: 6) { return "notice \(token())" }
        if does(.copyOut, in: 6) { return "copyout \(random.below(20)) \(token())" }
        if does(.big, in: 8) { return "rows \(random.below(4)) \(token()) \(random.below(20_000))" }
        return "rows \(random.below(random.below(12) == 0 ? 60 : 4)) \(token()) \(random.below(20))"
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
