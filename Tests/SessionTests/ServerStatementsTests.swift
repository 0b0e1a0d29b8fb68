import Session
import Testing

@Suite struct ServerStatementsTests {
    @Test func aStatementIsUnderWayUntilTheServerSaysSo() {
        var statements = ServerStatements()
        var presence = statements.use(5, segment: 1)
        #expect(presence == .absent)
        statements.parseSent(5, segment: 3)
        presence = statements.use(5, segment: 1)
        #expect(presence == .underWay(segment: 3))
        statements.confirm(5)
        presence = statements.use(5, segment: 1)
        #expect(presence == .prepared)
        let wasHere = [statements.forget(5), statements.forget(5)]
        #expect(wasHere == [true, false])
        presence = statements.use(5, segment: 1)
        #expect(presence == .absent)
    }

    @Test func theOneUsedLongestAgoGoes() {
        var statements = ServerStatements()
        for statement in 1...3 as ClosedRange<UInt32> {
            statements.parseSent(statement, segment: 0)
            statements.confirm(statement)
        }
        var candidate = statements.evictionCandidate(limit: 4)
        #expect(candidate == nil)
        candidate = statements.evictionCandidate(limit: 3)
        #expect(candidate == 1)
        let presences = [statements.use(1, segment: 0), statements.use(99, segment: 0)]
        #expect(presences == [.prepared, .absent])
        candidate = statements.evictionCandidate(limit: 3)
        #expect(candidate == 2)
        statements.forget(2)
        candidate = statements.evictionCandidate(limit: 2)
        #expect(candidate == 3)
    }

    @Test func whatIsUnderWayIsNotEvicted() {
        var statements = ServerStatements()
        statements.parseSent(1, segment: 0)
        var candidate = statements.evictionCandidate(limit: 1)
        #expect(candidate == nil)
        statements.parseSent(2, segment: 0)
        statements.confirm(2)
        candidate = statements.evictionCandidate(limit: 1)
        #expect(candidate == 2)
    }

    @Test func takingAllConfirmedLeavesWhatIsUnderWay() {
        var statements = ServerStatements()
        for statement in 1...4 as ClosedRange<UInt32> {
            statements.parseSent(statement, segment: 0)
            if statement % 2 == 0 { statements.confirm(statement) }
        }
        let confirmed = statements.takeAllConfirmed().sorted()
        #expect(confirmed == [2, 4])
        let rest = statements.takeAll().sorted()
        #expect(rest == [1, 3])
        let count = statements.count
        #expect(count == 0)
    }

    @Test func theUnnamedOneIsKeptApart() {
        var statements = ServerStatements()
        statements.setUnnamed(4, .underWay(segment: 1))
        let (unnamed, count) = (statements.unnamed, statements.count)
        #expect(unnamed.statement == 4)
        #expect(unnamed.presence == .underWay(segment: 1))
        #expect(count == 0)
    }
}
