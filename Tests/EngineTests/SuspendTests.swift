import Config
import Primitives
import Session
import Testing

@testable import Engine

/// SUSPEND and RESUME: nothing is read, nothing is lost.
@Suite struct SuspendTests {
    private static func admin(_ bench: Bench) {
        bench.connect("C", user: "admin", database: "pgbouncer")
        bench.ignore("C")
    }

    private static func suspend(_ bench: Bench, _ console: String = "C") {
        let client = bench.client(console)
        bench.tell { $0.suspend(for: client, now: $1, into: &$2) }
    }

    private static func news(_ bench: Bench) -> [ConsoleNews.Outcome] {
        bench.board.takeConsoleNews().map(\.outcome)
    }

    private static func bench(_ configure: (inout Setup) -> Void = { _ in }) -> Bench {
        let bench = Bench.withServer {
            $0.global.adminUsers = ["admin"]
            $0.secrets["admin"] = "x"
            configure(&$0)
        }
        admin(bench)
        return bench
    }

    @Test(arguments: [false, true])
    func everythingStandsStillAndGoesOn(_ inTransaction: Bool) {
        let bench = Self.bench()
        bench.say("A", query(inTransaction ? "begin" : "select 1"))
        if inTransaction { bench.say("S1", complete("BEGIN") + readyInTransaction) }
        bench.ignore("A", "S1")
        Self.suspend(bench)
        #expect(Self.news(bench) == [.done])
        #expect(bench.paused == ["A", "S1"])
        // What comes now is kept.
        bench.say("A", query("select 2"))
        bench.say("S1", result("1") + ready)
        #expect(bench.got("A") == [])
        #expect(bench.got("S1") == [])
        bench.pass(.seconds(500))
        #expect(bench.got("A") == [])
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        #expect(bench.paused == [])
        #expect(bench.got("A") == ["T", "D(··1)", "C(SELECT 1)", "Z(I)"])
        #expect(bench.got("S1").contains("Q(select 2)"))
        bench.finish()
    }

    @Test func newcomersAreNotReadEither() {
        let bench = Self.bench()
        Self.suspend(bench)
        bench.connect("B")
        #expect(bench.got("B") == [])
        bench.pass(.seconds(500))
        #expect(bench.state("B") == "startup")
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        #expect(bench.state("B") == "idle")
        bench.finish()
    }

    @Test func whatIsOwedIsWrittenFirst() {
        let bench = Self.bench()
        bench.say("A", query("select 1"))
        bench.say("S1", rowDescription + row("1"))
        bench.congest("A")
        Self.suspend(bench)
        #expect(Self.news(bench) == [])
        bench.drain("A")
        bench.pass(.seconds(1))
        #expect(Self.news(bench) == [.done])
        bench.ignore("A")
        bench.say("S1", complete("SELECT 1") + ready)
        #expect(bench.got("A") == [])
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        #expect(bench.got("A") == ["C(SELECT 1)", "Z(I)"])
        bench.finish()
    }

    @Test func whoTakesNothingIsClosed() {
        let bench = Self.bench { $0.global.suspendTimeout = .seconds(10) }
        bench.say("A", query("select 1"))
        bench.congest("A")
        bench.connect("B")
        Self.suspend(bench)
        bench.pass(.seconds(9))
        #expect(Self.news(bench) == [])
        #expect(bench.isHere("A"))
        bench.pass(.seconds(2))
        #expect(Self.news(bench) == [.done])
        #expect(bench.got("A").suffix(2) == ["E(FATAL 08P01 suspend_timeout)", "closed"])
        #expect(bench.isHere("B"))
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        bench.finish()
    }

    @Test func aServerThatTakesNothingIsClosedWithItsClient() {
        let bench = Self.bench { $0.global.suspendTimeout = .seconds(10) }
        bench.say("A", query("select 1"))
        bench.congest("S1")
        Self.suspend(bench)
        bench.pass(.seconds(11))
        #expect(bench.state("S1") == "gone")
        #expect(bench.state("A") == "gone")
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        bench.finish()
    }

    @Test func zeroWaitsForEver() {
        let bench = Self.bench { $0.global.suspendTimeout = .zero }
        bench.say("A", query("select 1"))
        bench.congest("A")
        Self.suspend(bench)
        bench.pass(.seconds(5000))
        #expect(bench.isHere("A"))
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        bench.finish()
    }

    @Test func theLastConsoleLiftsIt() {
        let bench = Self.bench()
        bench.connect("D", user: "admin", database: "pgbouncer")
        Self.suspend(bench)
        bench.end("C")
        #expect(bench.board.mode == .suspended)
        bench.end("D")
        #expect(bench.board.mode == .active)
        #expect(bench.log.contains { $0.contains("admin disappeared when suspended, doing RESUME") })
        bench.say("A", query("select 1"))
        #expect(bench.state("A") == "active S1")
        bench.finish()
    }

    @Test func aServerBeingOpenedIsOpenedAgain() {
        let bench = Self.bench()
        bench.connect("B")
        bench.say("A", query("select 1"))
        bench.say("B", query("select 2"))
        Self.suspend(bench)
        #expect(bench.state("S2") == "gone")
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        bench.login("S3")
        #expect(bench.state("B") == "active S3")
        bench.finish()
    }

    @Test func shuttingDownLiftsIt() {
        let bench = Self.bench()
        bench.say("A", query("select 1"))
        Self.suspend(bench)
        bench.tell { $0.shutDown(.waitForServers, now: $1, into: &$2) }
        #expect(bench.paused == [])
        bench.ignore("A")
        bench.say("S1", result("1") + ready)
        #expect(bench.got("A") == ["T", "D(··1)", "C(SELECT 1)", "Z(I)"])
        bench.finish()
    }
}
