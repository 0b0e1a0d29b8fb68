import Config
import Primitives
import Testing

@testable import Engine

/// A peer that takes bytes slowly holds back the other side, and nobody else.
@Suite struct CongestionTests {
    @Test func aSlowClientHoldsItsServer() {
        let bench = Bench.withServer()
        bench.say("A", query("a"))
        bench.say("S1", rowDescription + row("1"))
        #expect(bench.congest("A") == ["pause S1"])
        #expect(bench.say("S1", row("2")) == [])
        #expect(bench.drain("A") == ["resume S1", "relay A: D(··2)"])
        bench.say("S1", complete("A") + ready)
        bench.finish()
    }

    @Test func aSlowServerHoldsItsClient() {
        let bench = Bench.withServer()
        bench.say("A", query("a"))
        #expect(bench.congest("S1") == ["pause A"])
        #expect(bench.say("A", query("b")) == [])
        #expect(bench.drain("S1") == ["resume A", "relay S1: Q(b)"])
        bench.finish()
    }

    /// The client is still slow when the answer has been read to its end: the server need not wait for it.
    @Test func theServerIsFreeWhileItsClientIsSlow() {
        let bench = Bench.withServer { $0.database.poolSize = 1 }
        bench.connect("B")
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.ignore("S1")
        bench.say("S1", result("a") + ready)
        bench.congest("A")
        #expect(bench.got("S1") == ["Q(b)"])
        #expect(!bench.paused.contains("S1"))
        bench.say("S1", result("b") + ready)
        #expect(bench.got("B").last == "Z(I)")
        // its next query is answered no faster than it reads
        bench.say("A", query("a2"))
        #expect(bench.paused.contains("S1"))
        bench.drain("A")
        #expect(!bench.paused.contains("S1"))
        bench.finish()
    }

    @Test func aSlowClientThatGoesLetsTheServerBeRead() {
        let bench = Bench.withServer { $0.global.poolMode = .session }
        bench.say("A", query("a"))
        bench.say("S1", result("a") + ready)
        bench.congest("A")
        #expect(bench.paused.contains("S1"))
        bench.end("A")
        #expect(!bench.paused.contains("S1"))
        #expect(bench.state("S1") == "testing")
        bench.finish()
    }

    @Test func aServerThatHasNotTakenAllIsNotGivenOn() {
        let bench = Bench.withServer { $0.database.poolSize = 1 }
        bench.connect("B")
        bench.say("A", query("a"))
        bench.congest("S1")
        bench.say("B", query("b"))
        bench.say("S1", failure("XX000", "early") + ready)
        #expect(bench.state("B") != "active S1")
        bench.finish()
    }

    @Test func bothDirections() {
        let bench = Bench.withServer()
        bench.say("A", query("a"))
        bench.congest("A")
        bench.congest("S1")
        #expect(bench.paused == ["A", "S1"])
        bench.drain("S1")
        #expect(bench.paused == ["S1"])
        bench.drain("A")
        #expect(bench.paused == [])
        bench.finish()
    }

    @Test func severalReasonsAreKeptApart() {
        let bench = Bench.withServer()
        bench.say("A", query("a"))
        bench.congest("S1")
        bench.dial("X")
        bench.say("X", cancelRequest(bench.key(of: "A")))
        bench.drain("S1")
        #expect(bench.paused.contains("A"))
        bench.fail("S2")
        #expect(!bench.paused.contains("A"))
        bench.finish()
    }

    /// Facts about links that are gone already.
    @Test func factsAboutTheDeadAreIgnored() {
        let bench = Bench.withServer()
        guard let client = bench.client("A"), let server = bench.server("S1") else { return }
        bench.end("A")
        bench.end("S1")
        let told = bench.tell { board, now, actions in
            board.congested(.client(client), into: &actions)
            board.congested(.server(server), into: &actions)
            board.drained(.client(client), now: now, into: &actions)
            board.drained(.server(server), now: now, into: &actions)
            board.ended(.client(client), .endOfFile, now: now, into: &actions)
            board.ended(.server(server), .failed(104), now: now, into: &actions)
            board.serverFailed(server, .nameLookup, now: now, into: &actions)
            let used = ByteString("x").withView {
                board.received($0, from: .client(client), now: now, into: &actions)
                    + board.received($0, from: .server(server), now: now, into: &actions)
            }
            #expect(used == 2)
        }
        #expect(told == [])
        bench.finish()
    }
}
