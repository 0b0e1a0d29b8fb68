import Config
import Primitives
import Testing

@testable import Engine

/// A cancel request hits the query it was meant for, or nothing.
@Suite struct CancelTests {
    /// A's query runs on S1; S1's key is 1, 01010101.
    private func running(_ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in })
        -> Bench
    {
        let bench = Bench.withServer(delivery) {
            $0.database.poolSize = 1
            configure(&$0)
        }
        bench.connect("B")
        bench.say("A", query("select pg_sleep(1)"))
        bench.ignore("A", "B", "S1")
        return bench
    }

    private func cancel(_ bench: Bench, _ name: String, _ asker: String = "X") -> [String] {
        bench.dial(asker)
        return bench.say(asker, cancelRequest(bench.key(of: name)))
    }

    static let request = "cancel(···\\x1\\x1\\x1\\x1\\x1)"
    static let canceled = failure("57014", "canceling statement due to user request")

    @Test(arguments: Delivery.allCases)
    func ofARunningQuery(_ delivery: Delivery) {
        let bench = running(delivery)
        #expect(cancel(bench, "A") == ["pause A", "open S2"])
        #expect(bench.endpoints["S2"]?.host == "10.0.0.1")
        #expect(bench.reach("S2") == ["send S2: \(Self.request)"])
        bench.say("S1", Self.canceled + ready)
        #expect(bench.got("A") == ["E(ERROR 57014 canceling statement due to user request)", "Z(I)"])
        // Nobody gets the server before the connection has ended, and then only behind a fence.
        bench.say("B", query("b"))
        #expect(bench.state("S1") == "testing")
        #expect(bench.state("X") == "cancelRequest")
        bench.end("S2")
        #expect(bench.state("X") == "gone")
        #expect(bench.got("S1") == ["Q"])
        bench.say("S1", emptyQuery + ready)
        #expect(bench.got("S1") == ["Q(b)"])
        bench.finish()
    }

    /// The cancel is so late that it hits our fence: nobody hears of it.
    @Test func aLateCancelHitsTheFence() {
        let bench = running()
        _ = cancel(bench, "A")
        bench.reach("S2")
        bench.say("S1", result("1") + ready)
        bench.say("B", query("b"))
        bench.end("S2")
        bench.say("S1", Self.canceled + ready)
        #expect(bench.got("B") == [])
        #expect(bench.state("S1") == "gone" || bench.state("B") == "active S1")
        bench.finish()
    }

    @Test func ofAQueryThatHasEndedMeanwhile() {
        let bench = running()
        _ = cancel(bench, "A")
        bench.say("S1", result("1") + ready)
        bench.say("B", query("b"))
        #expect(bench.state("B") == "waiting")
        #expect(bench.reach("S2").contains("drop S2"))
        #expect(bench.sent["S2"] == [])
        #expect(bench.state("X") == "gone")
        // no cancel was sent, so no fence is due
        #expect(bench.got("S1") == ["Q(b)"])
        bench.finish()
    }

    /// The owner's next request is not forwarded to that server until the cancel is over.
    @Test func theOwnersNextQueryIsNotHit() {
        for mode in [PoolMode.transaction, .session] {
            let bench = running { $0.global.poolMode = mode }
            _ = cancel(bench, "A")
            bench.reach("S2")
            bench.say("S1", Self.canceled + ready)
            bench.say("A", query("next"))
            #expect(bench.got("S1") == [])
            bench.end("S2")
            if mode == .transaction { bench.say("S1", emptyQuery + ready) }
            #expect(bench.got("S1").last == "Q(next)")
            bench.finish()
        }
    }

    @Test func twoAtOnceAreOne() {
        let bench = running()
        #expect(cancel(bench, "A", "X").contains("open S2"))
        #expect(cancel(bench, "A", "Y") == [])
        bench.reach("S2")
        bench.say("S1", Self.canceled + ready)
        bench.end("S2")
        #expect(bench.state("X") == "gone")
        #expect(bench.state("Y") == "gone")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func unknownKeysAreClosedWithoutAWord(_ delivery: Delivery) {
        let bench = running(delivery)
        let right = bench.key(of: "A")
        for place in 0..<8 {
            var wrong = right
            wrong[place] ^= 1
            bench.dial("X")
            bench.say("X", cancelRequest(wrong))
            #expect(bench.got("X") == ["closed"])
        }
        bench.dial("X")
        bench.say("X", cancelRequest(right + [0]))
        #expect(bench.got("X") == ["closed"])
        #expect(!bench.liveNames.contains("S2"))
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func withoutAKeyItIsClosedWithoutAWord(_ delivery: Delivery) {
        let bench = running(delivery)
        for count in 0..<8 {
            bench.dial("X")
            bench.say("X", cancelRequest(Bytes(bench.key(of: "A").prefix(count))))
            #expect(bench.got("X") == ["closed"])
        }
        #expect(!bench.liveNames.contains("S2"))
        bench.finish()
    }

    @Test func everyByteOfALongKeyCounts() {
        let bench = running()
        bench.dial("C")
        bench.say("C", startup([("user", "u"), ("database", "db")], version: 3 << 16 | 2))
        bench.say("C", query("c"))
        let right = bench.key(of: "C")
        #expect(right.count == 36)
        for wrong in [
            Bytes(right.dropLast()), Bytes(right.dropLast()) + [right[35] ^ 1], Bytes(right.prefix(8)),
        ] {
            bench.dial("X")
            bench.say("X", cancelRequest(wrong))
            #expect(bench.got("X") == ["closed"])
            #expect(bench.state("C") == "waiting")
        }
        bench.dial("X")
        bench.say("X", cancelRequest(right))
        #expect(bench.got("C").contains("E(ERROR 57014 canceling statement due to user request)"))
        bench.finish()
    }

    @Test func ofAnIdleClient() {
        let bench = running()
        #expect(cancel(bench, "B") == ["close X"])
        bench.say("S1", result("1") + ready)
        #expect(cancel(bench, "A") == ["close X"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func ofARequestInLine(_ delivery: Delivery) {
        let bench = running(delivery)
        bench.say("B", query("b"))
        #expect(cancel(bench, "B").contains("close X"))
        #expect(bench.got("B") == ["E(ERROR 57014 canceling statement due to user request)", "Z(I)"])
        #expect(bench.state("B") == "idle")
        bench.say("S1", result("1") + ready)
        #expect(bench.got("S1") == [])
        bench.say("B", query("next"))
        #expect(bench.got("S1") == ["Q(next)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func ofABatchInLine(_ delivery: Delivery) {
        let bench = running(delivery)
        bench.say("B", parse("", "b") + bind("") + execute + sync + query("next"))
        _ = cancel(bench, "B")
        #expect(bench.got("B") == ["E(ERROR 57014 canceling statement due to user request)", "Z(I)"])
        #expect(bench.state("B") == "waiting")
        bench.say("S1", result("1") + ready)
        #expect(bench.got("S1") == ["Q(next)"])
        bench.finish()
    }

    @Test func theServerDiesMeanwhile() {
        for isSent in [false, true] {
            let bench = running()
            _ = cancel(bench, "A")
            if isSent { bench.reach("S2") }
            bench.end("S1")
            #expect(bench.got("A").last == "closed")
            #expect(bench.state("X") == "gone")
            if isSent { bench.end("S2") } else { #expect(bench.reach("S2").contains("drop S2")) }
            bench.finish()
        }
    }

    @Test func theOwnerGoesMeanwhile() {
        let bench = running()
        _ = cancel(bench, "A")
        bench.reach("S2")
        bench.end("A")
        #expect(bench.state("S1") == "gone")
        bench.end("S2")
        bench.finish()
    }

    @Test func theAskerGoesMeanwhile() {
        let bench = running()
        _ = cancel(bench, "A")
        bench.reach("S2")
        bench.end("X")
        bench.say("S1", Self.canceled + ready)
        #expect(bench.state("S1") == "testing")
        bench.end("S2")
        bench.say("S1", emptyQuery + ready)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test func theConnectionForItFails() {
        let bench = running()
        _ = cancel(bench, "A")
        bench.fail("S2")
        #expect(bench.state("X") == "gone")
        #expect(!bench.paused.contains("A"))
        bench.say("S1", result("1") + ready)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test func theAskerWaitsOnlySoLong() {
        let bench = running { $0.global.cancelWaitTimeout = .seconds(10) }
        _ = cancel(bench, "A")
        bench.pass(TimeSpan(nanoseconds: 9_999_999_999))
        #expect(bench.state("X") == "cancelRequest")
        bench.pass(TimeSpan(nanoseconds: 1))
        #expect(bench.state("X") == "gone")
        bench.finish()
    }

    @Test func theConnectionForItNeverStands() {
        let bench = running()
        _ = cancel(bench, "A")
        bench.pass(.seconds(15))
        #expect(bench.state("S2") == "gone")
        #expect(!bench.paused.contains("A"))
        bench.say("S1", result("1") + ready)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    /// Our SET in front of the client's query is not to be hit: the cancel waits until it is through.
    @Test func whileOurSetRuns() {
        let bench = Bench.withServer { $0.database.poolSize = 1 }
        bench.connect("B", [("application_name", "b")])
        bench.say("B", query("b"))
        #expect(!cancel(bench, "B").contains { $0.hasPrefix("open") })
        #expect(
            bench.say("S1", complete("SET") + parameterStatus("application_name", "b") + ready).contains(
                "open S2"))
        bench.reach("S2")
        bench.say("S1", Self.canceled + ready)
        bench.end("S2")
        #expect(bench.state("X") == "gone")
        bench.finish()
    }

    /// Cancel requests have their own small room; beyond it they wait.
    @Test func cancelsDoNotStormPostgreSQL() {
        let bench = Bench { $0.database.poolSize = 3 }
        let names = ["A", "B", "C"]
        for name in names { bench.connect(name) }
        bench.login("S1")
        for name in names { bench.say(name, query(name)) }
        for name in ["S2", "S3"] { bench.login(name) }
        var opened = 0
        for (index, name) in names.enumerated() {
            opened += cancel(bench, name, "X\(index)").count { $0.hasPrefix("open") }
        }
        #expect(opened == 3)
        bench.finish()
    }

    /// One server more than the pool's size, thanks to its reserve: A runs a query on S1, B on S2, …
    private func overfull(size: Int) -> Bench {
        let bench = Bench {
            $0.database.poolSize = size
            $0.global.reservePoolSize = 1
            $0.global.reservePoolTimeout = .seconds(1)
        }
        let names = ["A", "B", "C"].prefix(size + 1)
        for (index, name) in names.enumerated() {
            bench.connect(name)
            if index == 0 { bench.login("S1") }
            bench.say(name, query(name))
            if index == size { bench.pass(.seconds(1)) }
            if index > 0 { bench.login("S\(index + 1)") }
            #expect(bench.state(name) == "active S\(index + 1)")
        }
        for name in names { bench.ignore(name) }
        return bench
    }

    /// One cancel always finds its way, however full the pool; the next waits until the first is over.
    @Test func oneCancelAtATimeIsAlwaysSent() {
        let bench = overfull(size: 1)
        #expect(cancel(bench, "A", "X") == ["pause A", "open S3"])
        #expect(cancel(bench, "B", "Y") == ["pause B"])
        #expect(bench.reach("S3") == ["send S3: \(Self.request)"])
        bench.say("S1", Self.canceled + ready)
        #expect(!bench.liveNames.contains("S4"))
        bench.end("S3")
        #expect(bench.state("X") == "gone")
        #expect(bench.state("Y") == "cancelRequest")
        #expect(bench.reach("S4") == ["send S4: cancel(···\\x2\\x2\\x2\\x2\\x2)"])
        bench.say("S2", Self.canceled + ready)
        bench.end("S4")
        #expect(bench.state("Y") == "gone")
        #expect(bench.got("B") == ["E(ERROR 57014 canceling statement due to user request)", "Z(I)"])
        #expect(!bench.paused.contains("B"))
        bench.finish()
    }

    @Test func aWaitingCancelIsOverWhenItsQueryIs() {
        let bench = overfull(size: 1)
        _ = cancel(bench, "A", "X")
        _ = cancel(bench, "B", "Y")
        bench.say("S2", complete("B") + ready)
        #expect(bench.state("Y") == "gone")
        #expect(bench.state("X") == "cancelRequest")
        #expect(bench.state("S2") == "gone")
        #expect(!bench.paused.contains("B"))
        #expect(!bench.liveNames.contains("S4"))
        bench.finish()
    }

    /// A server more than the pool's size leaves room for one cancel only, until it goes.
    @Test func waitingCancelsAreSentWhenThereIsRoom() {
        let bench = overfull(size: 2)
        #expect(cancel(bench, "A", "X").contains("open S4"))
        #expect(cancel(bench, "B", "Y") == ["pause B"])
        bench.say("S3", complete("C") + ready)
        #expect(bench.state("S3") == "gone")
        #expect(bench.liveNames.contains("S5"))
        #expect(bench.state("Y") == "cancelRequest")
        bench.finish()
    }

    @Test func bytesBehindAKeyAreIgnored() {
        let bench = running()
        bench.dial("X")
        bench.say("X", cancelRequest(bench.key(of: "A")) + query("drop"))
        bench.say("X", Bytes(repeating: 0x58, count: 100_000))
        bench.reach("S2")
        #expect(bench.got("S2") == [Self.request])
        bench.finish()
    }

    /// In COPY, in a pipeline, in a transaction: the right entry fails, and all stay in step.
    @Test(arguments: Delivery.allCases)
    func inTheMiddleOfAPipeline(_ delivery: Delivery) {
        let bench = running(delivery)
        bench.say("A", parse("", "x") + bind("") + execute + sync + query("last"))
        _ = cancel(bench, "A")
        bench.reach("S2")
        bench.say("S1", result("1") + ready + Self.canceled)
        bench.end("S2")
        bench.say("S1", ready + complete("LAST") + ready)
        #expect(
            bench.got("A").suffix(4) == [
                "E(ERROR 57014 canceling statement due to user request)", "Z(I)", "C(LAST)", "Z(I)",
            ])
        bench.say("S1", emptyQuery + ready)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test func duringCopyIn() {
        let bench = running()
        bench.say("S1", copyInResponse)
        bench.say("A", copyData("1"))
        _ = cancel(bench, "A")
        bench.reach("S2")
        bench.say("S1", Self.canceled + ready)
        bench.end("S2")
        bench.say("S1", emptyQuery + ready)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }
}
