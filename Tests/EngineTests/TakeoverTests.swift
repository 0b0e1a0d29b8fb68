import Config
import Primitives
import Session
import Testing

@testable import Engine

/// Online restart: another process goes on with what this one was in the middle of.
@Suite struct TakeoverTests {
    /// What is told of everybody, without what only this process knows.
    private static func told(_ bench: Bench) -> [String] {
        bench.board.heirlooms(withState: true).map {
            "\($0.task) \($0.user?.lossyText ?? "-") \($0.database?.lossyText ?? "-") \($0.key) \($0.isPaired) "
                + "\($0.clientEncoding?.lossyText ?? "-") \($0.timeZone?.lossyText ?? "-") \($0.state.bytes)"
        }.sorted()
    }

    /// A prepares and pipelines on S1 and is answered in part; B holds S2 in a transaction; C waits for a
    /// server; D is idle with settings and statements of its own; E has sent half a startup packet.
    private static func busy(_ delivery: Delivery) -> Bench {
        let bench = Bench(delivery) { $0.database.poolSize = 2 }
        bench.connect("A")
        bench.login("S1")
        bench.connect("D", [("TimeZone", "Asia/Tokyo")])
        bench.say("D", parse("mine", "select 4") + parse("", "select 5") + sync)
        bench.say("S1", parameterStatus("TimeZone", "Asia/Tokyo") + complete("SET") + ready)
        bench.say("S1", parseComplete + parseComplete + ready)
        bench.connect("B")
        bench.say("A", query("begin"))
        bench.say("S1", parameterStatus("TimeZone", "UTC") + complete("SET") + ready)
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.say("B", query("begin"))
        bench.login("S2")
        bench.say("S2", complete("BEGIN") + readyInTransaction)
        bench.connect("C")
        bench.say("C", query("select 3"))
        bench.dial("E")
        bench.say("E", Bytes(startup([("user", "u")]).prefix(9)))
        bench.say("A", parse("x", "select 1") + bind("x") + execute + sync + parse("y", "select 2") + sync)
        bench.say("S1", parseComplete + bindComplete)
        bench.ignore("A", "B", "C", "D", "E", "S1", "S2")
        return bench
    }

    @Test(arguments: Delivery.allCases)
    func nothingIsForgotten(_ delivery: Delivery) {
        let old = Self.busy(delivery)
        let new = old.takenOver()
        #expect(new.liveNames == ["A", "B", "C", "D", "E", "S1", "S2"])
        #expect(Self.told(new) == Self.told(old))
        #expect(new.state("A") == "active S1")
        #expect(new.state("B") == "active S2")
        #expect(new.state("C") == "waiting")
        #expect(new.state("D") == "idle")
        for name in ["A", "B", "C", "D"] { #expect(new.key(of: name) == old.key(of: name)) }

        new.say("S1", complete("SELECT 1") + readyInTransaction + parseComplete + readyInTransaction)
        #expect(new.got("A") == ["C(SELECT 1)", "Z(T)", "1", "Z(T)"])
        // The name is taken, as it was in the process before; and the statement has its name on the server.
        new.say("A", bind("y") + execute + sync)
        let bound = new.got("S1")
        #expect(bound.first?.hasPrefix("B(·PGBOUNCER_") == true)
        new.say("S1", bindComplete + complete("SELECT 1") + readyInTransaction)
        new.say("A", query("commit"))
        new.say("S1", complete("COMMIT") + ready)
        // C is next in line.
        #expect(new.got("S1").last == "Q(select 3)")
        new.say("S1", result("3") + ready)
        #expect(new.got("C") == ["T", "D(··3)", "C(SELECT 1)", "Z(I)"])
        // D finds its settings and both of its statements.
        new.ignore("S1")
        new.say("D", bind("mine") + bind("") + sync)
        #expect(new.got("S1").first?.contains("Asia/Tokyo") == true)
        new.say("E", Bytes(startup([("user", "u")]).dropFirst(9)))
        #expect(new.state("E") == "idle" || new.got("E").first?.hasPrefix("E") == true)
        new.finish()
    }

    /// The cut may be anywhere inside a message, in both directions.
    @Test(arguments: [1, 5, 7, 300], [1, 4, 6, 200])
    func aMessageGoesOnWhereItWasCut(_ clientCut: Int, _ serverCut: Int) {
        let old = Bench.withServer()
        let text = String(repeating: "x", count: 20_000)
        let asked = query(text)
        old.say("A", Bytes(asked.prefix(17_000 + clientCut)))
        let new = old.takenOver()
        new.say("A", Bytes(asked.dropFirst(17_000 + clientCut)))
        #expect(Bytes((new.sent["S1"] ?? []).suffix(asked.count)) == asked)
        let row = result(String(repeating: "y", count: 1_000)) + ready
        new.say("S1", Bytes(row.prefix(serverCut)))
        let last = new.takenOver()
        last.say("S1", Bytes(row.dropFirst(serverCut)))
        #expect(Bytes((last.sent["A"] ?? []).suffix(row.count)) == row)
        #expect(last.state("S1") == "idle")
        last.finish()
    }

    /// From a process that has told only what PgBouncer's columns hold.
    @Test func whatPgBouncerTellsIsEnough() {
        let old = Bench.withServer { $0.database.poolSize = 5 }
        old.connect("B")
        old.say("B", query("begin"))
        old.say("S1", complete("BEGIN") + readyInTransaction)
        old.connect("C")
        old.say("C", query("select 1"))
        old.login("S2")
        old.connect("D")
        old.say("D", parse("", "select 2") + bind("") + describe("") + execute + sync)
        old.login("S3")
        let new = old.takenOver(withState: false)
        #expect(new.liveNames == ["A", "B", "C", "D", "S1", "S2", "S3"])
        // B was in its transaction, and had been told everything; C and D wait for answers.
        new.say("B", query("select 7"))
        new.say("S1", result("7") + readyInTransaction)
        #expect(new.got("B") == ["T", "D(··7)", "C(SELECT 1)", "Z(T)"])
        #expect(new.state("B") == "active S1")
        new.say("S2", result("1") + ready)
        #expect(new.got("C") == ["T", "D(··1)", "C(SELECT 1)", "Z(I)"])
        new.say("S3", parseComplete + bindComplete + result("2") + ready)
        #expect(new.got("D") == ["1", "2", "T", "D(··2)", "C(SELECT 1)", "Z(I)"])
        // What else these servers were told nobody knows: none of them is used again.
        #expect(!new.isHere("S2") && !new.isHere("S3"))
        new.say("B", query("commit"))
        new.say("S1", complete("COMMIT") + ready)
        #expect(!new.isHere("S1"))
        new.say("A", query("select 1"))
        #expect(new.isHere("S4"))
        new.finish()
    }

    /// Idle servers of PgBouncer are closed: what their sessions were told nobody knows.
    @Test func itsIdleServersAreNotKept() {
        let old = Bench.withServer()
        let new = old.takenOver(withState: false)
        #expect(new.liveNames == ["A"])
        new.finish()
    }

    /// A database that the new configuration does not have: its clients are told.
    @Test func clientsOfARemovedDatabaseAreTold() {
        let old = Bench { $0.moreDatabases = [DatabaseEntry(name: "gone")] }
        old.connect("A", database: "gone")
        old.login("S1")
        let kept = Bench()
        for row in old.board.heirlooms(withState: true) where row.task == .client {
            kept.takeIn(row, as: "A")
        }
        #expect(kept.got("A").last == "closed")
        #expect(kept.liveNames == [])
    }

    @Test func stateOfAnotherVersionIsNotRead() {
        var writer = StateWriter()
        writer.add("text" as ByteString)
        var reader = StateReader(ByteString(writer.bytes))
        #expect(reader?.text() == "text")
        #expect(reader?.isWhole == true)
        var other = writer.bytes
        other[7] &+= 1
        #expect(StateReader(ByteString(other)) == nil)
        #expect(StateReader("") == nil)
        for length in 8..<writer.bytes.count {
            var short = StateReader(ByteString(Array(writer.bytes.prefix(length))))
            _ = short?.text()
            #expect(short?.isWhole == false)
        }
        // A count of more than there can be.
        writer.add(UInt64.max)
        var greedy = StateReader(ByteString(writer.bytes))
        _ = greedy?.text()
        #expect(greedy?.pairs().isEmpty == true)
        #expect(greedy?.isWhole == false)
    }
}
