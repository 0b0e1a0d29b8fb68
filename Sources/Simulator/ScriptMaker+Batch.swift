import Primitives

/// Batches of the extended protocol.
extension ScriptMaker {
    /// Messages up to a Sync.
    mutating func batch(_ inTransaction: Bool) {
        for _ in 0...random.below(3) { part(inTransaction) }
        if does(.flush, in: 4) { steps += [.flush, .await] }
        if does(.mixed, in: 10) {
            // A simple query without a Sync before it: PostgreSQL takes it.
            return steps.append(.query("rows 1 \(token())"))
        }
        steps.append(.sync)
    }

    /// One batch of thousands, as drivers send when they insert many rows.
    mutating func huge() {
        steps.append(.parse("", "rows 0 -"))
        for _ in 0..<(1000 + random.below(2000)) {
            steps += [.bind(portal: "", statement: "", token: ""), .execute("", limit: 0)]
        }
        steps.append(.sync)
    }

    private mutating func part(_ inTransaction: Bool) {
        if does(.closes, in: 6) { return close() }
        if does(.strangers, in: 12), keepsStatements {
            // A name that may never have been prepared by this client.
            steps += [.bind(portal: "", statement: anyName, token: token()), .execute("", limit: 0)]
            return
        }
        var name = ""
        if does(.named), keepsStatements, random.below(3) > 0 { name = anyName }
        // Without a Parse of its own a part might run the COPY of an earlier batch once more.
        let needsParse = !keepsStatements || does(.copyIn) || !does(.unnamedAgain)
        let parses = name.isEmpty ? needsParse || random.below(5) > 0 : random.below(3) == 0
        if parses {
            steps.append(.parse(name, text(of: name, inTransaction)))
            if random.below(3) == 0 { steps.append(.describe("S", name)) }
        }
        if random.below(12) == 0 { return }
        let portal = does(.cursors, in: 3) ? "p\(random.below(2))" : ""
        let value = token() + (random.below(4) == 0 ? padding().filter { $0 != " " } : "")
        steps.append(.bind(portal: portal, statement: name, token: value))
        if random.below(3) == 0 { steps.append(.describe("P", portal)) }
        let limit = does(.cursors, in: 2) ? 1 + random.below(3) : 0
        steps.append(.execute(portal, limit: limit))
        if limit > 0 { for _ in 0..<random.below(3) { steps.append(.execute(portal, limit: limit)) } }
        if does(.closes, in: 6) { steps.append(.closeName("P", portal)) }
    }

    /// Named statements share a few texts, so that clients share statements.
    private mutating func text(of name: String, _ inTransaction: Bool) -> String {
        if name.isEmpty { return statement(inTransaction) + padding() }
        return ["rows 2 -", "rows 5 - 30", "sleep 3000 -", "show DateStyle -", "rows 0 -"][random.below(5)]
    }

    private mutating func close() {
        if random.below(3) == 0 { return steps.append(.closeName("P", "p\(random.below(2))")) }
        steps.append(.closeName("S", keepsStatements && does(.named) ? anyName : ""))
    }
}
