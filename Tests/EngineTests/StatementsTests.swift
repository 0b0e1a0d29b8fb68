import Config
import Primitives
import Session
import Testing

@testable import Engine

/// Prepared statements where the next request may meet another server.
@Suite struct StatementsTests {
    /// A has prepared `x` as PGBOUNCER_1 on S1.
    private func prepared(
        _ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in }
    ) -> Bench {
        let bench = Bench.withServer(delivery, configure)
        bench.say("A", parse("x", "select 1") + sync)
        bench.say("S1", parseComplete + ready)
        bench.ignore("A", "S1")
        return bench
    }

    /// S1 is busy with B, so that A's next request meets S2.
    private func onAnotherServer(_ bench: Bench) {
        bench.connect("B")
        bench.say("B", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.ignore("S1", "B")
    }

    @Test func namesAreOurs() {
        let bench = Bench.withServer()
        bench.say("A", parse("x", "select 1") + bind("x") + describe("x") + execute + sync)
        #expect(
            bench.got("S1") == [
                "P(PGBOUNCER_1·select 1)", "B(·PGBOUNCER_1)", "D(SPGBOUNCER_1)", "E", "S",
            ])
        bench.say(
            "S1",
            parseComplete + bindComplete + parameterDescription + rowDescription + complete("X") + ready)
        #expect(bench.got("A") == ["1", "2", "t", "T", "C(X)", "Z(I)"])
        bench.finish()
    }

    /// A driver that hears "cached plan must not change result type" prepares the same text again, and must
    /// not meet the same stale statement.
    @Test(arguments: Delivery.allCases)
    func aStaleStatementIsNotSharedWithNewcomers(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", bind("x") + execute + sync)
        bench.say("S1", failure("0A000", "cached plan must not change result type") + ready)
        bench.ignore("A", "S1")
        bench.say("A", closeStatement("x") + parse("x", "select 1") + sync)
        #expect(bench.got("S1") == ["P(PGBOUNCER_2·select 1 )", "S"])
        bench.say("S1", parseComplete + ready)
        #expect(bench.got("A") == ["3", "1", "Z(I)"])
        // Another client shares the new one,
        bench.connect("B")
        bench.ignore("B")
        bench.say("B", parse("y", "select 1") + bind("y") + execute + sync)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_2)", "E", "S"])
        bench.say("S1", failure("0A000", "cached plan must not change result type") + ready)
        // which may go stale in its turn.
        bench.ignore("B", "S1")
        bench.say("B", parse("z", "select 1") + sync)
        #expect(bench.got("S1") == ["P(PGBOUNCER_3·select 1  )", "S"])
        bench.say("S1", parseComplete + ready)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aStatementFollowsItsClientToAnotherServer(_ delivery: Delivery) {
        let bench = prepared(delivery)
        onAnotherServer(bench)
        bench.say("A", bind("x") + execute + sync)
        bench.login("S2")
        #expect(
            bench.got("S2") == [
                "startup(user·u·database·db)", "P(PGBOUNCER_1·select 1)", "B(·PGBOUNCER_1)", "E", "S",
            ])
        bench.say("S2", parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["2", "C(X)", "Z(I)"])
        // and now that server has it
        bench.say("A", describe("x") + sync)
        #expect(bench.got("S2") == ["D(SPGBOUNCER_1)", "S"])
        bench.say("S2", parameterDescription + noData + ready)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func theSameTextIsPreparedOnceForAll(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.connect("B")
        bench.ignore("B")
        bench.say("B", parse("other", "select 1") + bind("other") + execute + sync)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_1)", "E", "S"])
        bench.say("S1", bindComplete + complete("X") + ready)
        #expect(bench.got("B") == ["1", "2", "C(X)", "Z(I)"])
        let count = bench.board.statements.count
        #expect(count == 1)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func theSameNameMeansToEachItsOwn(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.connect("B")
        bench.ignore("B")
        bench.say("B", parse("x", "select 2") + sync)
        bench.say("S1", parseComplete + ready)
        bench.say("A", bind("x") + execute + sync)
        bench.say("S1", bindComplete + complete("ONE") + ready)
        bench.say("B", bind("x") + execute + sync)
        bench.say("S1", bindComplete + complete("TWO") + ready)
        #expect(
            bench.got("S1") == [
                "P(PGBOUNCER_2·select 2)", "S", "B(·PGBOUNCER_1)", "E", "S", "B(·PGBOUNCER_2)", "E", "S",
            ])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func theOneUsedLongestAgoIsClosed(_ delivery: Delivery) {
        let bench = prepared(delivery) { $0.global.maxPreparedStatements = 1 }
        bench.say("A", parse("y", "select 2") + bind("y") + execute + sync)
        #expect(
            bench.got("S1") == [
                "C(SPGBOUNCER_1)", "P(PGBOUNCER_2·select 2)", "B(·PGBOUNCER_2)", "E", "S",
            ])
        bench.say("S1", closeComplete + parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["1", "2", "C(X)", "Z(I)"])
        bench.say("A", bind("x") + execute + sync)
        #expect(
            bench.got("S1") == [
                "C(SPGBOUNCER_2)", "P(PGBOUNCER_1·select 1)", "B(·PGBOUNCER_1)", "E", "S",
            ])
        bench.say("S1", closeComplete + parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["2", "C(X)", "Z(I)"])
        bench.finish()
    }

    /// Two statements in one batch where only one fits: both work.
    @Test(arguments: Delivery.allCases)
    func twoInOneBatchWhereOneFits(_ delivery: Delivery) {
        let bench = prepared(delivery) { $0.global.maxPreparedStatements = 1 }
        bench.say("A", bind("x") + parse("y", "select 2") + bind("y") + execute + sync)
        bench.say(
            "S1", bindComplete + closeComplete + parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["2", "1", "2", "C(X)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aFailedEvictionIsTakenBack(_ delivery: Delivery) {
        let bench = prepared(delivery) { $0.global.maxPreparedStatements = 1 }
        bench.say("A", bind("x") + parse("y", "bad") + sync)
        bench.say("S1", failure("08P01", "bind") + ready)
        bench.ignore("A", "S1")
        bench.say("A", bind("x") + execute + sync)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_1)", "E", "S"])
        bench.say("S1", bindComplete + complete("X") + ready)
        bench.say("A", parse("y", "good") + sync)
        bench.say("S1", closeComplete + parseComplete + ready)
        #expect(bench.got("A") == ["2", "C(X)", "Z(I)", "1", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aFailedParseLeavesNoName(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("x", "bad") + sync)
        bench.say("S1", failure("42601", "bad") + ready)
        let count = bench.board.statements.count
        #expect(count == 0)
        bench.say("A", parse("x", "good") + bind("x") + execute + sync)
        bench.say("S1", parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["E(ERROR 42601 bad)", "Z(I)", "1", "2", "C(X)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aTakenNameIsRefusedAtItsPlace(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", bind("x") + parse("x", "select 2") + bind("x") + execute + sync)
        // Whether the transaction has failed by then decides what PostgreSQL would say of the name.
        #expect(bench.got("S1") == ["B(·PGBOUNCER_1)", "H"])
        #expect(bench.paused.contains("A"))
        bench.say("S1", bindComplete)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_none)", "B(·PGBOUNCER_1)", "E", "S"])
        #expect(!bench.paused.contains("A"))
        bench.say("S1", failure("26000", "does not exist") + ready)
        #expect(
            bench.got("A") == ["2", "E(ERROR 42P05 prepared statement \"x\" already exists)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.say("A", bind("x") + execute + sync)
        bench.say("S1", bindComplete + complete("STILL") + ready)
        #expect(bench.got("A") == ["2", "C(STILL)", "Z(I)"])
        bench.finish()
    }

    /// What was asked before it fails: the Parse is skipped, the name is not looked at.
    @Test(arguments: Delivery.allCases)
    func aTakenNameBehindAFailureIsSkipped(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", bind("x") + parse("x", "select 2") + sync)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_1)", "H"])
        bench.say("S1", failure("08P01", "bind failed"))
        // PostgreSQL skips it, too.
        #expect(bench.got("S1") == ["P(x·select 2)", "S"])
        bench.say("S1", ready)
        #expect(bench.got("A") == ["E(ERROR 08P01 bind failed)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aTakenNameInAFailedTransaction(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", query("begin; bad"))
        bench.say("S1", complete("BEGIN") + failure("42601", "bad") + readyInFailedTransaction)
        bench.ignore("A", "S1")
        bench.say("A", parse("x", "select 2") + sync)
        #expect(bench.got("S1") == ["P(PGBOUNCER_none·select 2)", "C(SPGBOUNCER_none)", "S"])
        bench.say("S1", failure("25P02", "aborted") + readyInFailedTransaction)
        #expect(bench.got("A") == ["E(ERROR 25P02 aborted)", "Z(E)"])
        bench.say("A", query("rollback"))
        bench.say("S1", complete("ROLLBACK") + ready)
        bench.ignore("A", "S1")
        bench.say("A", bind("x") + execute + sync)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_1)", "E", "S"])
        bench.say("S1", bindComplete + complete("STILL") + ready)
        #expect(bench.got("A") == ["2", "C(STILL)", "Z(I)"])
        bench.finish()
    }

    /// The server has it, but what was asked before is not over: a failed transaction would refuse the Parse.
    @Test(arguments: Delivery.allCases)
    func aKnownTextWaitsForTheEndOfTheTransactionBeforeIt(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", query("begin; bad") + parse("y", "select 1") + sync)
        #expect(bench.got("S1") == ["Q(begin; bad)"])
        #expect(bench.paused.contains("A"))
        bench.say("S1", complete("BEGIN") + failure("42601", "bad") + readyInFailedTransaction)
        #expect(bench.got("S1") == ["C(SPGBOUNCER_1)", "P(PGBOUNCER_1·select 1)", "S"])
        bench.say("S1", closeComplete + failure("25P02", "aborted") + readyInFailedTransaction)
        #expect(
            bench.got("A") == [
                "C(BEGIN)", "E(ERROR 42601 bad)", "Z(E)", "E(ERROR 25P02 aborted)", "Z(E)",
            ])
        bench.finish()
    }

    /// A Close of ours that is under way is waited for; what is not confirmed by then is evicted next time.
    @Test(arguments: Delivery.allCases)
    func aStatementThatIsBeingEvictedIsWaitedFor(_ delivery: Delivery) {
        let bench = prepared(delivery) { $0.global.maxPreparedStatements = 1 }
        bench.say("A", parse("y", "select 2") + sync + bind("x") + execute + sync)
        #expect(bench.got("S1") == ["C(SPGBOUNCER_1)", "P(PGBOUNCER_2·select 2)", "S"])
        #expect(bench.paused.contains("A"))
        bench.say("S1", closeComplete)
        #expect(bench.got("S1") == ["P(PGBOUNCER_1·select 1)", "B(·PGBOUNCER_1)", "E", "S"])
        bench.say("S1", parseComplete + ready + parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["1", "Z(I)", "2", "C(X)", "Z(I)"])
        bench.say("A", parse("z", "select 3") + sync)
        #expect(
            bench.got("S1") == [
                "C(SPGBOUNCER_2)", "C(SPGBOUNCER_1)", "P(PGBOUNCER_3·select 3)", "S",
            ])
        bench.say("S1", closeComplete + closeComplete + parseComplete + ready)
        #expect(bench.got("A") == ["1", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func closeForgetsTheNameOnly(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", closeStatement("x") + closeStatement("never") + sync)
        #expect(bench.got("S1") == ["S"])
        bench.say("S1", ready)
        #expect(bench.got("A") == ["3", "3", "Z(I)"])
        // the server still has it, and the name is free
        bench.say("A", parse("x", "select 1") + bind("x") + execute + sync)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_1)", "E", "S"])
        bench.say("S1", bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["1", "2", "C(X)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func closingAPortalIsNotClosingAStatement(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", message("C", "Px·") + sync)
        #expect(bench.got("S1") == ["C(Px)", "S"])
        bench.say("S1", closeComplete + ready)
        bench.say("A", bind("x") + execute + sync)
        #expect(bench.got("S1").first == "B(·PGBOUNCER_1)")
        bench.say("S1", bindComplete + complete("X") + ready)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func unknownNamesAreForPostgreSQLToRefuse(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.connect("B")
        bench.ignore("B")
        bench.say("B", bind("x") + execute + sync)
        #expect(bench.got("S1") == ["B(·x)", "E", "S"])
        bench.say("S1", failure("26000", "does not exist") + ready)
        #expect(bench.got("B") == ["E(ERROR 26000 does not exist)", "Z(I)"])
        bench.finish()
    }

    /// Nobody reaches another client's statement by guessing what we call it.
    @Test func ourNamesAreNotForGuessing() {
        let bench = prepared()
        bench.connect("B")
        bench.say("B", bind("PGBOUNCER_1") + execute + sync)
        let sent = bench.got("S1")
        #expect(sent.first?.hasPrefix("B(·PGBOUNCER_") == true)
        #expect(sent.first != "B(·PGBOUNCER_1)")
        bench.say("S1", failure("26000", "does not exist") + ready)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func theUnnamedStatementFollowsItsClient(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "select 1") + describe("") + sync)
        bench.say("S1", parseComplete + parameterDescription + noData + ready)
        bench.ignore("A", "S1")
        onAnotherServer(bench)
        bench.say("A", bind("") + execute + sync)
        bench.login("S2")
        #expect(bench.got("S2").suffix(4) == ["P(·select 1)", "B", "E", "S"])
        bench.say("S2", parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["2", "C(X)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func theUnnamedStatementOfAnotherIsClosedFirst(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "select 1") + sync)
        bench.say("S1", parseComplete + ready)
        bench.connect("B")
        bench.ignore("A", "B", "S1")
        bench.say("B", bind("") + execute + sync)
        #expect(bench.got("S1") == ["C(S)", "B", "E", "S"])
        bench.say(
            "S1", closeComplete + failure("26000", "unnamed prepared statement does not exist") + ready)
        #expect(bench.got("B") == ["E(ERROR 26000 unnamed prepared statement does not exist)", "Z(I)"])
        bench.finish()
    }

    @Test func aQueryDropsTheUnnamedStatement() {
        let bench = Bench.withServer()
        bench.say("A", parse("", "select 1") + sync)
        bench.say("S1", parseComplete + ready)
        bench.say("A", query("select 2"))
        bench.say("S1", result("2") + ready)
        let count = bench.board.statements.count
        #expect(count == 0)
        bench.finish()
    }

    @Test func anUnnamedStatementTooLongToRememberPinsItsServer() {
        let bench = Bench.withServer()
        let long = String(repeating: "x", count: 300_000)
        bench.say("A", parse("", long) + sync)
        bench.say("S1", parseComplete + ready)
        #expect(bench.state("A") == "active S1")
        bench.say("A", bind("") + execute + sync)
        bench.say("S1", bindComplete + complete("X") + ready)
        #expect(bench.state("A") == "active S1")
        bench.say("A", query("select 1"))
        bench.say("S1", result("1") + ready)
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func deallocateByNameIsOursToAnswer(_ delivery: Delivery) {
        for text in ["deallocate x", "DEALLOCATE PREPARE x;", " Deallocate \"x\" ; "] {
            let bench = prepared(delivery)
            bench.say("A", query(text))
            #expect(bench.got("A") == ["C(DEALLOCATE)", "Z(I)"])
            #expect(bench.got("S1") == [])
            bench.say("A", parse("x", "select 2") + sync)
            bench.say("S1", parseComplete + ready)
            #expect(bench.got("A") == ["1", "Z(I)"])
            bench.finish()
        }
    }

    @Test func deallocateInATransaction() {
        let bench = prepared()
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.ignore("A", "S1")
        bench.say("A", query("deallocate x"))
        #expect(bench.got("A") == ["C(DEALLOCATE)", "Z(T)"])
        #expect(bench.got("S1") == [])
        #expect(bench.state("A") == "active S1")
        bench.finish()
    }

    @Test(arguments: [
        "deallocate y", "deallocate all", "deallocate x, y", "select 1; deallocate x", "deallocate X1",
        "deallocate x --\u{D}, y",
    ])
    func otherDeallocatesAreNotOurs(_ text: String) {
        let bench = prepared()
        bench.say("A", query(text))
        #expect(bench.got("S1") == ["Q(\(text))".replacing("\r", with: "\\xd")])
        bench.finish()
    }

    @Test(arguments: ["DEALLOCATE ALL", "DISCARD ALL"], Delivery.allCases)
    func whatDropsAllIsFollowed(_ tag: String, _ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", query(tag))
        bench.say("S1", complete(tag) + ready)
        bench.ignore("A", "S1")
        let count = bench.board.statements.count
        #expect(count == 0)
        bench.say("A", parse("x", "select 1") + bind("x") + execute + sync)
        #expect(bench.got("S1").prefix(2) == ["P(PGBOUNCER_2·select 1)", "B(·PGBOUNCER_2)"])
        bench.say("S1", parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["1", "2", "C(X)", "Z(I)"])
        bench.finish()
    }

    /// What stands behind it means something else once it has run.
    @Test(arguments: Delivery.allCases)
    func whatMayDropAllIsWaitedFor(_ delivery: Delivery) {
        let bench = prepared(delivery)
        bench.say("A", query("select 1; deallocate all") + bind("x") + execute + sync)
        #expect(bench.got("S1") == ["Q(select 1; deallocate all)"])
        #expect(bench.paused.contains("A"))
        bench.say("S1", result("1") + complete("DEALLOCATE ALL") + ready)
        #expect(bench.got("S1") == ["B(·x)", "E", "S"])
        bench.say("S1", failure("26000", "does not exist") + ready)
        #expect(
            bench.got("A").suffix(4) == [
                "C(DEALLOCATE ALL)", "Z(I)", "E(ERROR 26000 does not exist)", "Z(I)",
            ])
        bench.finish()
    }

    /// Another client's statement is gone from that server, too, and prepared again when it is needed.
    @Test func whatDropsAllDropsForOthersOnThatServer() {
        let bench = prepared()
        bench.connect("B")
        bench.say("B", query("DISCARD ALL"))
        bench.say("S1", complete("DISCARD ALL") + ready)
        bench.ignore("S1")
        bench.say("A", bind("x") + execute + sync)
        #expect(bench.got("S1").prefix(2) == ["P(PGBOUNCER_1·select 1)", "B(·PGBOUNCER_1)"])
        bench.say("S1", parseComplete + bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["2", "C(X)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aNameFromAnEarlierSegmentWaitsForItsReply(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("x", "select 1") + sync + bind("x") + execute + sync)
        #expect(bench.got("S1") == ["P(PGBOUNCER_1·select 1)", "S"])
        #expect(bench.paused.contains("A"))
        bench.say("S1", parseComplete + ready)
        #expect(bench.got("S1") == ["B(·PGBOUNCER_1)", "E", "S"])
        bench.say("S1", bindComplete + complete("X") + ready)
        #expect(bench.got("A") == ["1", "Z(I)", "2", "C(X)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: [
        message("P"), message("P", "x·"), message("P", "x·sql·"), message("B"), message("D"),
        message("C"),
    ])
    func bodiesThatLie(_ bytes: Bytes) {
        let bench = Bench.withServer()
        bench.say("A", bytes)
        let kind = bytes.first
        if kind == 0x50 || kind == 0x42 {
            #expect(bench.got("A") == ["E(FATAL 08P01 failed to parse packet)", "closed"])
        } else {
            #expect(bench.sent["S1"]?.suffix(bytes.count) == bytes[...])
        }
        bench.finish()
    }

    @Test func oneClientCannotHaveStatementsWithoutEnd() {
        let bench = Bench.withServer { $0.global.maxPreparedStatements = 2 }
        let batch = 1000
        var number = 0
        while bench.state("A") != "gone", number < ClientStatements.limit + 2 * batch {
            var bytes: Bytes = []
            for _ in 0..<batch {
                bytes += parse("s\(number)", "select 1")
                number += 1
            }
            bench.say("A", bytes + sync)
            if bench.server("S1") != nil {
                bench.say("S1", (number == batch ? parseComplete : []) + ready)
            }
            bench.ignore("S1")
        }
        #expect(number > ClientStatements.limit)
        #expect(bench.got("A").suffix(2) == ["E(FATAL 53000 too many prepared statements)", "closed"])
        bench.finish()
    }

    @Test func sessionPoolingLeavesStatementsAlone() {
        let bench = Bench.withServer { $0.global.poolMode = .session }
        bench.say("A", parse("x", "select 1") + bind("x") + describe("x") + closeStatement("x") + sync)
        #expect(bench.got("S1") == ["P(x·select 1)", "B(·x)", "D(Sx)", "C(Sx)", "S"])
        bench.finish()
    }

    @Test func noneAreFollowedWhenNoneAreAllowed() {
        let bench = Bench.withServer { $0.global.maxPreparedStatements = 0 }
        bench.say("A", parse("x", "select 1") + bind("x") + sync)
        #expect(bench.got("S1") == ["P(x·select 1)", "B(·x)", "S"])
        bench.finish()
    }

    /// A client that goes in the middle leaves nothing behind, wherever the middle is.
    @Test func vanishingAnywhereInABatch() {
        let batch =
            parse("a", "1") + bind("a") + describe("a") + closeStatement("a") + parse("a", "2") + sync
        for count in 0...batch.count {
            let bench = prepared()
            bench.say("A", Bytes(batch.prefix(count)))
            bench.end("A")
            if count >= 5 + 7 + 4 { #expect(bench.state("S1") == "gone") }
            bench.finish()
        }
    }
}
