import Config
import Primitives
import Testing

@testable import Engine

/// What a session has set is its own, whatever server it meets.
@Suite struct ParametersTests {
    @Test(arguments: Delivery.allCases)
    func differencesAreSetInFrontOfTheFirstRequest(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.connect("B", [("application_name", "b's"), ("datestyle", "SQL")])
        bench.ignore("B")
        bench.say("B", query("select 1"))
        #expect(
            bench.got("S1") == ["Q(SET DateStyle='SQL';SET application_name='b''s';)", "Q(select 1)"])
        bench.say(
            "S1",
            complete("SET") + parameterStatus("DateStyle", "SQL, MDY") + notice("hm") + complete("SET")
                + parameterStatus("application_name", "b's") + ready + result("1") + ready)
        #expect(bench.got("B") == ["S(DateStyle·SQL, MDY)", "T", "D(··1)", "C(SELECT 1)", "Z(I)"])
        // nothing more to set: the server's spelling is the client's
        bench.say("B", query("select 2"))
        #expect(bench.got("S1") == ["Q(select 2)"])
        bench.say("S1", result("2") + ready)
        // and back for A
        bench.say("A", query("select 3"))
        #expect(
            bench.got("S1") == ["Q(SET DateStyle='ISO, MDY';SET application_name='';)", "Q(select 3)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func whatAClientSetsGoesWithIt(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("set timezone = 'GMT'"))
        bench.say("S1", parameterStatus("TimeZone", "GMT") + complete("SET") + ready)
        bench.connect("B")
        bench.ignore("B", "S1")
        bench.say("B", query("begin"))
        #expect(bench.got("S1") == ["Q(SET TimeZone='UTC';)", "Q(begin)"])
        bench.say(
            "S1",
            parameterStatus("TimeZone", "UTC") + complete("SET") + ready + complete("BEGIN")
                + readyInTransaction)
        bench.say("A", query("select 1"))
        bench.login("S2")
        #expect(bench.got("S2").suffix(2) == ["Q(SET TimeZone='GMT';)", "Q(select 1)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aRejectedParameterEndsTheClientAndTheServer(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.connect("B", [("timezone", "Nowhere")])
        bench.ignore("B")
        bench.say("B", query("select 1"))
        bench.say("S1", failure("22023", "invalid value for parameter \"TimeZone\"") + ready)
        #expect(bench.got("B") == ["E(FATAL 08P01 invalid server parameter)", "closed"])
        #expect(bench.state("S1") == "gone")
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test func aValueThatCannotBeWrittenSafelyIsNotWritten() {
        let bench = Bench()
        bench.connect("A")
        bench.login("S1", [("standard_conforming_strings", "off")])
        bench.connect("B", [("application_name", "caf\u{E9}")])
        bench.ignore("B", "S1")
        bench.say("B", query("select 1"))
        #expect(bench.got("B") == ["E(FATAL 08P01 invalid server parameter)", "closed"])
        #expect(bench.got("S1") == ["X", "closed"])
        bench.finish()
    }

    @Test func theServersBaseIsTheGreeting() {
        let bench = Bench()
        bench.connect("A")
        bench.login("S1", [("IntervalStyle", "postgres"), ("default_transaction_read_only", "off")])
        let got = bench.got("A")
        #expect(got.contains("S(IntervalStyle·postgres)"))
        #expect(got.contains("S(default_transaction_read_only·off)"))
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func whileOursRunsNothingReachesTheClient(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.connect("B", [("application_name", "b")])
        bench.ignore("B")
        bench.say("B", query("select 1"))
        bench.say("S1", notice("during SET") + notification("x") + complete("SET"))
        #expect(bench.got("B") == [])
        bench.say("S1", parameterStatus("application_name", "b") + ready)
        #expect(bench.got("B") == [])
        bench.say("S1", notice("during the query") + result("1") + ready)
        #expect(
            bench.got("B") == ["N(NOTICE 00000 during the query)", "T", "D(··1)", "C(SELECT 1)", "Z(I)"])
        bench.finish()
    }

    @Test func aReportBetweenUsesIsFollowed() {
        let bench = Bench.withServer()
        bench.say("S1", parameterStatus("TimeZone", "GMT"))
        #expect(bench.state("S1") == "idle")
        bench.say("A", query("select 1"))
        #expect(bench.got("S1") == ["Q(SET TimeZone='UTC';)", "Q(select 1)"])
        bench.finish()
    }

    @Test func aRollbackTakesThemBack() {
        let bench = Bench.withServer()
        bench.say("A", query("begin; set timezone = 'GMT'"))
        bench.say(
            "S1",
            complete("BEGIN") + parameterStatus("TimeZone", "GMT") + complete("SET") + readyInTransaction)
        bench.say("A", query("rollback"))
        bench.say("S1", parameterStatus("TimeZone", "UTC") + complete("ROLLBACK") + ready)
        bench.ignore("S1")
        bench.say("A", query("select 1"))
        #expect(bench.got("S1") == ["Q(select 1)"])
        bench.finish()
    }

    @Test func connectQueriesRunOnceBeforeTheFirstUse() {
        let bench = Bench { $0.database.connectQuery = "set x" }
        bench.connect("A")
        bench.login("S1")
        bench.ignore("A")
        #expect(bench.got("S1").last == "Q(set x)")
        bench.say("A", query("select 1"))
        #expect(bench.state("A") == "waiting")
        bench.say("S1", complete("SET") + ready)
        #expect(bench.got("S1") == ["Q(select 1)"])
        bench.finish()
    }
}
