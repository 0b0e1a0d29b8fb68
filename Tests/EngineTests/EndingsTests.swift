import Config
import Pool
import Primitives
import Session
import Testing

@testable import Engine

/// Clients that vanish and servers that die, in every phase: nothing is left of them, and nobody else notices.
@Suite struct EndingsTests {
    /// How far a client has come when it goes.
    enum Moment: CaseIterable, Sendable {
        case connected, startupHalf, password, awaitingWelcome, idle, waiting, halfAQuery, running,
            halfAnAnswer,
            inTransaction, inFailedTransaction, inCopyIn, inCopyOut, inABatch, afterAnError,
            withParameters, console
    }

    /// Brings A to that moment, with S1 as the only server, and what is expected of S1 when A goes: `nil` for gone.
    private func bring(_ bench: Bench, to moment: Moment) -> String? {
        switch moment {
        case .connected:
            bench.dial("A")
        case .startupHalf:
            bench.dial("A")
            bench.say(
                "A",
                Bytes(startup([("user", "u"), ("database", "db"), ("application_name", "a")]).prefix(20)))
        case .password:
            bench.dial("A")
            bench.say("A", startup([("user", "u"), ("database", "db"), ("application_name", "a")]))
        case .console:
            bench.connect("A", database: "pgbouncer")
        default: break
        }
        bench.connect("B")
        bench.say("B", password("secret"))
        if moment == .awaitingWelcome {
            bench.connect("A", [("application_name", "a")])
            bench.say("A", password("secret"))
            return "opening"
        }
        bench.login("S1")
        if [.connected, .startupHalf, .password, .console].contains(moment) { return "idle" }
        bench.connect("A", moment == .withParameters ? [("application_name", "a")] : [])
        bench.say("A", password("secret"))
        switch moment {
        case .idle: return "idle"
        case .waiting:
            bench.say("B", query("b"))
            bench.say("A", query("a"))
            return "active"
        case .halfAQuery:
            bench.say("A", Bytes(query(String(repeating: "x", count: 40_000)).prefix(20_000)))
        case .running: bench.say("A", query("a"))
        case .halfAnAnswer:
            bench.say("A", query("a"))
            bench.say("S1", rowDescription + row("half").dropLast())
        case .inTransaction:
            bench.say("A", query("begin"))
            bench.say("S1", complete("BEGIN") + readyInTransaction)
        case .inFailedTransaction:
            bench.say("A", query("begin; bad"))
            bench.say("S1", complete("BEGIN") + failure("42601", "bad") + readyInFailedTransaction)
        case .inCopyIn:
            bench.say("A", query("copy"))
            bench.say("S1", copyInResponse)
            bench.say("A", copyData("1"))
        case .inCopyOut:
            bench.say("A", query("copy"))
            bench.say("S1", copyOutResponse + copyData("1"))
        case .inABatch:
            bench.say("A", parse("x", "1") + bind("x") + flush)
            bench.say("S1", parseComplete)
        case .afterAnError:
            bench.say("A", parse("x", "1") + bind("x") + flush)
            bench.say("S1", failure("42601", "bad"))
        case .withParameters: bench.say("A", query("a"))
        case .connected, .startupHalf, .password, .awaitingWelcome, .console: break
        }
        return nil
    }

    @Test(arguments: Moment.allCases, [LinkEnd.endOfFile, .failed(104)])
    func aClientVanishes(_ moment: Moment, _ end: LinkEnd) {
        let bench = Bench {
            $0.global.authType = .plain
            $0.global.statsUsers = ["u"]
            $0.database.poolSize = 1
        }
        let expected = bring(bench, to: moment)
        if moment == .console { bench.say("A", password("secret")) }
        bench.end("A", end)
        if let expected {
            #expect(bench.state("S1") == expected)
        } else {
            #expect(bench.state("S1") == "gone")
        }
        // B is served as if nothing had been.
        if expected == "opening" { bench.login("S1") }
        if bench.state("B") == "idle" { bench.say("B", query("b")) }
        if bench.server("S1") == nil { bench.login("S2") }
        let server = bench.server("S1") != nil ? "S1" : "S2"
        #expect(bench.state("B") == "active \(server)")
        bench.ignore("B")
        bench.say(server, result("b") + ready)
        #expect(bench.got("B") == ["T", "D(··b)", "C(SELECT 1)", "Z(I)"])
        bench.finish()
    }

    @Test(arguments: Moment.allCases)
    func aClientSaysGoodbye(_ moment: Moment) {
        let bench = Bench {
            $0.global.authType = .plain
            $0.database.poolSize = 1
        }
        let expected = bring(bench, to: moment)
        guard bench.client("A").map({ bench.board.clients[$0].isLoggedIn }) == true, moment != .waiting,
            moment != .halfAQuery
        else { return bench.finish() }
        bench.say("A", terminate)
        #expect(bench.state("A") == "gone")
        #expect(bench.state("S1") == expected ?? "gone")
        bench.finish()
    }

    @Test(arguments: Moment.allCases)
    func itsServerDies(_ moment: Moment) {
        let bench = Bench {
            $0.global.authType = .plain
            $0.database.poolSize = 1
        }
        let expected = bring(bench, to: moment)
        guard bench.server("S1") != nil else { return bench.finish() }
        bench.ignore("A")
        bench.end("S1", .failed(104))
        if moment == .halfAnAnswer {
            #expect(bench.got("A") == ["closed"])
        } else if expected == nil {
            #expect(bench.got("A") == ["E(FATAL 08P01 server conn crashed?)", "closed"])
        } else {
            #expect(bench.client("A") != nil)
        }
        bench.finish()
    }

    @Test(arguments: Moment.allCases)
    func killed(_ moment: Moment) {
        let bench = Bench {
            $0.global.authType = .plain
            $0.database.poolSize = 1
        }
        _ = bring(bench, to: moment)
        guard let client = bench.client("A") else { return bench.finish() }
        bench.ignore("A")
        bench.tell { board, now, actions in board.kill(client, now: now, into: &actions) }
        let got = bench.got("A")
        #expect(
            got
                == (moment == .halfAnAnswer
                    ? ["closed"] : ["E(FATAL 08P01 admin forced disconnect)", "closed"]))
        bench.finish()
    }

    /// While the pooler's own queries run.
    @Test func aServerDiesWhileTesting() {
        let bench = Bench.withServer { $0.global.poolMode = .session }
        bench.connect("B")
        bench.say("A", query("a"))
        bench.say("S1", result("a") + ready)
        bench.end("A")
        #expect(bench.state("S1") == "testing")
        bench.end("S1")
        bench.say("B", query("b"))
        bench.login("S2")
        #expect(bench.state("B") == "active S2")
        bench.finish()
    }

    /// PostgreSQL is shut down: its last words reach the client in the middle of its transaction.
    @Test(arguments: Delivery.allCases)
    func lastWords(_ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.ignore("A")
        bench.say(
            "S1",
            failure("57P01", "terminating connection due to administrator command", severity: "FATAL"))
        bench.end("S1")
        let got = bench.got("A")
        #expect(got.first == "E(FATAL 57P01 terminating connection due to administrator command)")
        #expect(got.last == "closed")
        bench.finish()
    }

    /// Hundreds of clients and servers come and go, at random: accounts add up all the time.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func accountsAddUp(_ seed: UInt64) {
        var random = Random(seed: seed)
        let bench = Bench(seed % 2 == 0 ? .whole : .random) {
            $0.database.poolSize = 3
            $0.global.poolMode = seed % 3 == 0 ? .session : .transaction
            $0.global.maxPreparedStatements = 2
            $0.global.queryTimeout = .seconds(20)
            $0.global.clientIdleTimeout = .seconds(60)
            $0.global.serverIdleTimeout = .seconds(30)
            $0.global.maxClientConn = 1000
        }
        let requests = [
            query("q"), query("begin"), parse("a", "1") + bind("a") + execute + sync,
            parse("", "2") + sync,
            bind("") + execute + sync, closeStatement("a") + sync, query("deallocate a"), flush,
            terminate,
            message("!"), parse("b", "3") + describe("b") + flush, sync,
        ]
        let replies = [
            result("r") + ready, complete("BEGIN") + readyInTransaction, complete("X") + ready,
            parseComplete,
            bindComplete, failure("XX000", "x"), ready, readyInTransaction, notice("n"), closeComplete,
            parameterStatus("application_name", "z"), complete("DISCARD ALL") + ready, emptyQuery + ready,
            message("!"), rowDescription,
        ]
        var number = 0
        for _ in 0..<300 {
            let names = bench.liveNames
            let name = names.isEmpty ? "" : names[random.below(names.count)]
            switch random.below(12) {
            case 0..<2:
                number += 1
                let wishes = [[], [("application_name", "a")], [("application_name", "b")]][random.below(3)]
                bench.connect("C\(number)", user: ["u", "v"][random.below(2)], wishes)
            case 2..<5 where name.hasPrefix("C"): bench.say(name, requests[random.below(requests.count)])
            case 5..<9 where name.hasPrefix("S"):
                if bench.state(name) == "opening" || bench.state(name) == "cancelling" {
                    if random.below(5) == 0 {
                        bench.fail(name)
                    } else if bench.state(name) == "cancelling" {
                        bench.reach(name)
                    } else {
                        bench.login(name)
                    }
                } else {
                    bench.say(name, replies[random.below(replies.count)])
                }
            case 9 where !name.isEmpty && random.below(3) == 0: bench.end(name)
            case 10 where name.hasPrefix("C") && bench.key(of: name).first != nil:
                number += 1
                bench.dial("C\(number)")
                bench.say("C\(number)", cancelRequest(bench.key(of: name)))
            case 11 where !name.isEmpty:
                bench.congest(name)
                if bench.liveNames.contains(name) { bench.drain(name) }
            default: bench.pass(.seconds(random.below(4)))
            }
            for pool in bench.board.poolIDs {
                let sessions = bench.board.pools[pool].lists.sessions
                #expect(sessions <= 3)
            }
        }
        bench.finish()
    }
}
