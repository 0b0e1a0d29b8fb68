import Primitives
import Session
import Testing

@testable import Engine

/// COPY in all its forms: one answer, one ReadyForQuery, and the server goes when it is over.
@Suite struct CopyTests {
    @Test(arguments: Delivery.allCases)
    func simpleCopyIn(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("copy t from stdin"))
        bench.say("S1", copyInResponse)
        bench.say("A", copyData("1\n") + flush + sync + copyData("2\n") + copyDone)
        #expect(bench.state("A") == "active S1")
        bench.say("S1", complete("COPY 2") + ready)
        #expect(bench.got("S1") == ["Q(copy t from stdin)", "d(1\\xa)", "H", "S", "d(2\\xa)", "c"])
        #expect(bench.got("A") == ["G", "C(COPY 2)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func copyFailedByTheClient(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("copy t from stdin"))
        bench.say("S1", copyInResponse)
        bench.say("A", copyData("1\n") + copyFail)
        bench.say("S1", failure("57014", "COPY from stdin failed") + ready)
        #expect(bench.got("A") == ["G", "E(ERROR 57014 COPY from stdin failed)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    /// The client goes on sending for a while, because it has not read the error yet.
    @Test(arguments: Delivery.allCases)
    func copyFailedByTheServer(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("copy t from stdin"))
        bench.say("S1", copyInResponse)
        bench.say("A", copyData("bad\n"))
        bench.say("S1", failure("22P02", "bad row") + ready)
        #expect(bench.state("A") == "idle")
        bench.ignore("A", "S1")
        bench.say("A", copyData("more") + copyData("more") + copyDone + query("select 1"))
        #expect(bench.got("S1") == ["Q(select 1)"])
        bench.say("S1", result("1") + ready)
        #expect(bench.got("A") == ["T", "D(··1)", "C(SELECT 1)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func extendedCopyInWithTheSyncBehind(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "copy t from stdin") + bind("") + execute + flush)
        bench.say("S1", parseComplete + bindComplete + copyInResponse)
        bench.say("A", copyData("1\n") + copyDone + sync)
        bench.say("S1", complete("COPY 1") + ready)
        #expect(bench.got("A") == ["1", "2", "G", "C(COPY 1)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    /// The Sync before CopyDone is ignored by PostgreSQL: one ReadyForQuery, not two.
    @Test(arguments: Delivery.allCases)
    func extendedCopyInWithASyncAhead(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "copy t from stdin") + bind("") + execute + sync)
        bench.say("S1", parseComplete + bindComplete + copyInResponse)
        bench.say("A", copyData("1\n") + copyDone + sync)
        bench.say("S1", complete("COPY 1") + ready)
        #expect(bench.got("A") == ["1", "2", "G", "C(COPY 1)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func everythingSentAtOnce(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say(
            "A",
            parse("", "copy t from stdin") + bind("") + execute + sync + copyData("1\n") + copyDone
                + sync)
        bench.say("S1", parseComplete + bindComplete + copyInResponse + complete("COPY 1") + ready)
        #expect(bench.got("A") == ["1", "2", "G", "C(COPY 1)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func anErrorWithASyncAheadLeavesNoUsableServer(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "copy t from stdin") + bind("") + execute + sync)
        bench.say("S1", parseComplete + bindComplete + copyInResponse)
        bench.say("A", copyData("bad\n"))
        bench.say("S1", failure("22P02", "bad row"))
        bench.say("A", copyDone + sync)
        bench.say("S1", ready)
        #expect(bench.got("A") == ["1", "2", "G", "E(ERROR 22P02 bad row)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func copyOut(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("copy t to stdout") + sync)
        bench.say(
            "S1",
            copyOutResponse + copyData("1\n") + copyData("") + copyDone + complete("COPY 1") + ready
                + ready)
        #expect(bench.got("A") == ["H", "d(1\\xa)", "d", "c", "C(COPY 1)", "Z(I)", "Z(I)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func extendedCopyOut(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", parse("", "copy t to stdout") + bind("") + execute + sync)
        bench.say(
            "S1",
            parseComplete + bindComplete + copyOutResponse + copyData("1") + copyDone + complete("COPY 1")
                + ready)
        #expect(bench.got("A") == ["1", "2", "H", "d(1)", "c", "C(COPY 1)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func aQueryInTheMiddleOfCopyIn(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("copy t from stdin"))
        bench.say("S1", copyInResponse)
        bench.say("A", query("select 1"))
        bench.say("S1", failure("08P01", "unexpected message type 0x51 during COPY from stdin") + ready)
        #expect(bench.got("A").count == 3)
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test func vanishingInTheMiddleOfACopy() {
        for bytes in [copyInResponse, copyOutResponse + copyData("1")] {
            let bench = Bench.withServer()
            bench.say("A", query("copy t"))
            bench.say("S1", bytes)
            bench.say("A", copyData("half"))
            bench.end("A")
            #expect(bench.state("S1") == "gone")
            bench.finish()
        }
    }

    /// A hundred thousand copies on one connection: the ledger is as empty as before.
    @Test func manyCopiesLeaveNothing() {
        let bench = Bench.withServer()
        for _ in 0..<300 {
            bench.say("A", parse("", "copy t from stdin") + bind("") + execute + sync)
            bench.say("S1", parseComplete + bindComplete + copyInResponse)
            bench.say("A", copyData("1\n") + copyDone + sync)
            bench.say("S1", complete("COPY 1") + ready)
        }
        #expect(bench.state("A") == "idle")
        guard let server = bench.server("S1") else { return }
        let count = bench.board.servers[server].replies.count
        #expect(count == 0)
        bench.finish()
    }
}
