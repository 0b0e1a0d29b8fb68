import Primitives
import Session
import Testing

@Suite struct ClientStatementsTests {
    private let none = ExpectedReply.none
    private func meaning(_ names: ClientStatements, _ name: ByteString, _ segment: UInt32)
        -> ClientStatements.Meaning
    {
        name.withView { names.meaning($0, segment: segment) }
    }
    private func change(
        _ names: ClientStatements, _ name: ByteString, _ statement: UInt32, _ segment: UInt32
    ) -> UInt32 {
        name.withView { names.change($0, to: statement, segment: segment) }
    }

    @Test func aParseCountsAtOnceInItsOwnSegmentAndLaterInOthers() {
        let names = ClientStatements(seed: 1)
        #expect(meaning(names, "a", 0) == .unknown)
        let number = change(names, "a", 7, 0)
        #expect(meaning(names, "a", 0) == .known(7))
        #expect(meaning(names, "a", 1) == .inDoubt)
        #expect(names.confirm(number, statement: 7) == none)
        #expect(meaning(names, "a", 1) == .known(7))
        #expect(names.count == 1)
    }

    @Test func aSkippedParseLeavesNothing() {
        let names = ClientStatements(seed: 1)
        names.skipped(change(names, "a", 7, 0))
        #expect(meaning(names, "a", 0) == .unknown)
        #expect(names.count == 0)
    }

    @Test func aSkippedCloseLeavesWhatWas() {
        let names = ClientStatements(seed: 1)
        _ = names.confirm(change(names, "a", 7, 0), statement: 7)
        let close = change(names, "a", none, 1)
        #expect(meaning(names, "a", 1) == .unknown)
        #expect(meaning(names, "a", 2) == .inDoubt)
        names.skipped(close)
        #expect(meaning(names, "a", 2) == .known(7))
    }

    @Test func closeAndParseAgainInOneSegment() {
        let names = ClientStatements(seed: 1)
        _ = names.confirm(change(names, "a", 7, 0), statement: 7)
        let close = change(names, "a", none, 1)
        let parse = change(names, "a", 8, 1)
        #expect(close == parse)
        #expect(meaning(names, "a", 1) == .known(8))
        #expect(names.confirm(close, statement: none) == 7)
        #expect(names.confirm(parse, statement: 8) == none)
        #expect(meaning(names, "a", 2) == .known(8))
        #expect(names.takeAllCommitted() == [8])
        #expect(names.count == 0)
    }

    @Test func aClosedNameCanBeAnotherOnesPlace() {
        let names = ClientStatements(seed: 1)
        let a = change(names, "a", 7, 0)
        _ = names.confirm(a, statement: 7)
        _ = names.confirm(change(names, "a", none, 0), statement: none)
        let b = change(names, "b", 9, 0)
        #expect(a == b)
        #expect(meaning(names, "a", 0) == .unknown)
        #expect(meaning(names, "b", 0) == .known(9))
    }

    @Test func takingAllLeavesNamesWithChangesUnderWay() {
        let names = ClientStatements(seed: 1)
        _ = names.confirm(change(names, "a", 1, 0), statement: 1)
        _ = names.confirm(change(names, "b", 2, 0), statement: 2)
        let close = change(names, "b", none, 1)
        #expect(names.takeAllCommitted().sorted() == [1, 2])
        #expect(names.count == 1)
        #expect(names.confirm(close, statement: none) == none)
        #expect(names.count == 0)
    }

    @Test func namesAreBytes() {
        let names = ClientStatements(seed: 1)
        _ = names.confirm(change(names, "a", 1, 0), statement: 1)
        #expect(meaning(names, "A", 0) == .unknown)
        #expect(meaning(names, "a ", 0) == .unknown)
    }
}
