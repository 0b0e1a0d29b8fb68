import Config
import Primitives
import Testing

@testable import Engine

/// Queries and their replies over a server that is shared.
@Suite struct TrafficTests {
    @Test func theWalkOfOneQuery() {
        let bench = Bench()
        #expect(bench.connect("A") == ["pause A", "open S1"])
        #expect(bench.reach("S1") == ["send S1: startup(user·u·database·db)"])
        let report =
            "R S(server_version·17.0) S(client_encoding·UTF8) S(DateStyle·ISO, MDY) S(TimeZone·UTC) "
            + "S(standard_conforming_strings·on) S(application_name)"
        let greeted = bench.login("S1")
        #expect(greeted.count == 2)
        #expect(greeted.first?.hasPrefix("send A: \(report) K(") == true)
        #expect(greeted.first?.hasSuffix(" Z(I)") == true)
        #expect(greeted.last == "resume A")
        #expect(bench.state("S1") == "idle")
        #expect(bench.say("A", query("select 1")) == ["relay S1: Q(select 1)"])
        #expect(bench.state("A") == "active S1")
        #expect(bench.say("S1", result("1") + ready) == ["relay A: T D(··1) C(SELECT 1) Z(I)"])
        #expect(bench.state("A") == "idle")
        #expect(bench.state("S1") == "idle")
        #expect(bench.say("A", terminate) == ["close A"])
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aServerStaysForTheTransaction(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        #expect(bench.state("A") == "active S1")
        bench.say("A", query("bad"))
        bench.say("S1", failure("42601", "syntax error") + readyInFailedTransaction)
        #expect(bench.state("A") == "active S1")
        bench.say("A", query("rollback"))
        bench.say("S1", complete("ROLLBACK") + ready)
        #expect(bench.state("A") == "idle")
        #expect(
            bench.got("A") == [
                "C(BEGIN)", "Z(T)", "E(ERROR 42601 syntax error)", "Z(E)", "C(ROLLBACK)", "Z(I)",
            ])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aPipelineIsAnsweredToItsEndBeforeTheServerGoes(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("1") + query("2") + parse("", "3") + bind("") + execute + sync + sync)
        bench.say("S1", complete("ONE") + ready)
        #expect(bench.state("A") == "active S1")
        bench.say(
            "S1", complete("TWO") + ready + parseComplete + bindComplete + complete("THREE") + ready)
        #expect(bench.state("A") == "active S1")
        bench.say("S1", ready)
        #expect(bench.state("A") == "idle")
        #expect(
            bench.got("A") == ["C(ONE)", "Z(I)", "C(TWO)", "Z(I)", "1", "2", "C(THREE)", "Z(I)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func tenSyncsWithAnErrorInTheThirdBatch(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        let batch = parse("", "x") + bind("") + execute + sync
        bench.say("A", Bytes((0..<10).map { _ in batch }.joined()))
        let good = parseComplete + bindComplete + complete("OK") + ready
        for number in 0..<10 {
            #expect(bench.state("A") == "active S1")
            bench.say("S1", number == 2 ? parseComplete + failure("22012", "division") + ready : good)
        }
        #expect(bench.state("A") == "idle")
        let got = bench.got("A")
        #expect(got.count { $0 == "Z(I)" } == 10)
        #expect(got.count { $0.hasPrefix("E") } == 1)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func anErrorThenAQueryInOneWrite(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "bad") + bind("") + execute + sync + query("good"))
        bench.say("S1", failure("42601", "bad") + ready + result("1") + ready)
        #expect(
            bench.got("A") == ["E(ERROR 42601 bad)", "Z(I)", "T", "D(··1)", "C(SELECT 1)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aSuspendedPortalKeepsItsServer(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "x") + bind("") + execute + flush)
        bench.say("S1", parseComplete + bindComplete + row("1") + message("s"))
        #expect(bench.state("A") == "active S1")
        bench.say("A", execute + sync)
        bench.say("S1", complete("SELECT 1") + ready)
        #expect(bench.got("A") == ["1", "2", "D(··1)", "s", "C(SELECT 1)", "Z(I)"])
        #expect(bench.got("S1") == ["P(·x)", "B", "E", "H", "E", "S"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func functionCallAsFirstRequest(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", message("F", "····"))
        bench.say("S1", message("V", "····") + ready)
        #expect(bench.got("A") == ["V", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test func emptyAndOddQueriesAreForPostgreSQLToJudge() {
        let bench = Bench.withServer()
        for (odd, reply) in [
            (query(""), emptyQuery), (message("Q"), failure("08P01", "x")),
            (message("Q", "a·b·"), failure("08P01", "x")),
            (message("S", "payload"), failure("08P01", "x")),
        ] {
            bench.say("A", odd)
            #expect(bench.sent["S1"]?.suffix(odd.count) == odd[...])
            bench.say("S1", reply + ready)
            #expect(bench.state("A") == "idle")
        }
        bench.finish()
    }

    @Test func flushAloneAndSyncAlone() {
        let bench = Bench.withServer()
        #expect(bench.say("A", flush) == [])
        #expect(bench.say("A", sync) == ["relay S1: S"])
        #expect(bench.say("S1", ready) == ["relay A: Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func whatIsLeftOfACopyIsIgnored(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", copyData("rest") + copyDone + copyFail + query("1"))
        #expect(bench.got("S1") == ["Q(1)"])
        bench.say("S1", complete("OK") + ready)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test func noServerBeforeAMessageIsWhole() {
        let bench = Bench.withServer()
        let long = query(String(repeating: "x", count: 1000))
        #expect(bench.say("A", Bytes(long.prefix(500))) == [])
        bench.connect("B")
        bench.ignore("B")
        #expect(bench.say("B", query("2")) == ["relay S1: Q(2)"])
        bench.say("S1", complete("OK") + ready)
        bench.say("A", Bytes(long.dropFirst(500)))
        #expect(bench.got("S1").last?.count == 1003)
        bench.finish()
    }

    /// A message longer than is held goes on as it comes.
    @Test func longMessagesAreStreamed() {
        let bench = Bench.withServer()
        let long = query(String(repeating: "x", count: 100_000))
        bench.say("A", Bytes(long.prefix(20_000)))
        #expect(bench.state("A") == "active S1")
        #expect(bench.sent["S1"]?.suffix(20_000) == long.prefix(20_000))
        bench.say("A", Bytes(long.dropFirst(20_000)))
        #expect(bench.sent["S1"]?.suffix(long.count) == long[...])
        bench.say("S1", complete("OK") + ready)
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    /// An answer that comes before the question has been sent to its end does not free the server.
    @Test func anAnswerInTheMiddleOfItsQuestion() {
        let bench = Bench.withServer()
        let long = query(String(repeating: "x", count: 100_000))
        bench.say("A", Bytes(long.prefix(20_000)))
        bench.say("S1", failure("53200", "out of memory") + ready)
        #expect(bench.state("A") == "active S1")
        bench.say("A", Bytes(long.dropFirst(20_000)))
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    struct Broken: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: Bytes
        var text: String
        init(_ name: String, _ bytes: Bytes, _ text: String) {
            testDescription = name
            self.bytes = bytes
            self.text = text
        }
    }

    static let broken: [Broken] = [
        Broken("unknown type", message("!"), "unknown pkt"),
        Broken("a server's type", message("T"), "unknown pkt"),
        Broken("password after login", password("x"), "unknown pkt"),
        Broken("type zero", [0, 0, 0, 0, 4], "bad packet header: '00'"),
        Broken("length 3", [0x51, 0, 0, 0, 3], "bad packet header: '5100000003'"),
        Broken("length 0", [0x51, 0, 0, 0, 0], "bad packet header: '5100000000'"),
        Broken("length -1", [0x51, 0xFF, 0xFF, 0xFF, 0xFF], "bad packet header: '51ffffffff'"),
        Broken("length 2 GiB", [0x51, 0x80, 0, 0, 0], "bad packet header: '5180000000'"),
        Broken("a startup packet", startup([("user", "u")]), "bad packet header: '00'"),
    ]

    /// Idle, in a transaction, and in the middle of a pipeline.
    @Test(arguments: broken, Delivery.allCases)
    func brokenFraming(_ given: Broken, _ delivery: Delivery) {
        for state in 0..<3 {
            let bench = Bench.withServer(delivery)
            if state == 1 {
                bench.say("A", query("begin"))
                bench.say("S1", complete("BEGIN") + readyInTransaction)
            } else if state == 2 {
                bench.say("A", query("select 1"))
            }
            bench.ignore("A", "S1")
            bench.say("A", given.bytes)
            let got = bench.got("A")
            #expect(got.last == "closed")
            #expect(got.first?.hasPrefix("E(FATAL 08P01 \(given.text.prefix(16))") == true)
            #expect(bench.state("S1") == (state == 0 ? "idle" : "gone"))
            bench.finish()
        }
    }

    @Test func aMessageAboveTheLimitIsRefused() {
        let bench = Bench.withServer { $0.global.maxPacketSize = 100 }
        bench.say("A", query(String(repeating: "x", count: 94)))
        #expect(bench.state("A") == "active S1")
        bench.say("S1", complete("OK") + ready)
        bench.say("A", query(String(repeating: "x", count: 95)))
        #expect(bench.state("A") == "gone")
        bench.finish()
    }

    @Test func statementPoolingAllowsNoTransactionBlocks() {
        let bench = Bench.withServer { $0.global.poolMode = .statement }
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        #expect(
            bench.got("A").suffix(2) == [
                "E(FATAL 08P01 transaction blocks not allowed in statement pooling mode)", "closed",
            ])
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func sessionPoolingKeepsTheServerAndResetsIt(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery) { $0.global.poolMode = .session }
        bench.say("A", query("select 1"))
        bench.say("S1", result("1") + ready)
        #expect(bench.state("A") == "active S1")
        bench.ignore("A", "S1")
        bench.say("A", terminate)
        #expect(bench.got("S1") == ["Q(DISCARD ALL)"])
        #expect(bench.state("S1") == "testing")
        bench.say("S1", complete("DISCARD ALL") + ready)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test func aFailedResetEndsTheServer() {
        let bench = Bench.withServer { $0.global.poolMode = .session }
        bench.say("A", query("select 1"))
        bench.say("S1", result("1") + ready)
        bench.end("A")
        bench.say("S1", failure("XX000", "no") + ready)
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func pqexecCanBeForbidden() {
        let bench = Bench.withServer { $0.global.disablePQExec = true }
        bench.say("A", query("select 1"))
        #expect(bench.got("A") == ["E(FATAL 08P01 PQexec disallowed)", "closed"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func payloadsThatLookLikeMessagesAreNotLookedAt(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        let fake = Bytes((0..<200).map { _ in ready + failure("XX000", "fake") }.joined())
        bench.say("A", query("select 1"))
        bench.say("S1", rowDescription + message("D", fake))
        #expect(bench.state("A") == "active S1")
        bench.say("S1", complete("SELECT 1") + ready)
        #expect(bench.state("A") == "idle")
        #expect(bench.sent["A"]?.suffix(fake.count + 19 + 7 + 6).count == fake.count + 32)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func remarksReachTheirClient(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("set x"))
        bench.say(
            "S1",
            notice("one") + parameterStatus("application_name", "x") + notification("c") + complete("SET")
                + ready)
        #expect(
            bench.got("A") == [
                "N(NOTICE 00000 one)", "S(application_name·x)", "A(····c)", "C(SET)", "Z(I)",
            ])
        bench.finish()
    }

    /// Ten thousand Syncs in one write: ten thousand answers, and a ledger that never grows beyond its limit.
    @Test func manySyncsInOneWrite() {
        let bench = Bench.withServer()
        let count = 10_000
        bench.say("A", Bytes((0..<count).map { _ in sync }.joined()))
        var answered = 0
        while answered < count {
            let asked = bench.got("S1").count
            #expect(asked > 0)
            guard asked > 0 else { break }
            bench.say("S1", Bytes((0..<asked).map { _ in ready }.joined()))
            answered += asked
        }
        #expect(bench.got("A").count == count)
        #expect(bench.state("A") == "idle")
        bench.finish()
    }
}
