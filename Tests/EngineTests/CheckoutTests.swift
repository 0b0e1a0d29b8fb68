import Config
import Pool
import Primitives
import Testing

@testable import Engine

/// Who gets which server: limits, the line, and the order in it.
@Suite struct CheckoutTests {
    /// A, B, C … logged in; one server, S1, idle.
    private func one(_ clients: [String], _ configure: (inout Setup) -> Void = { _ in }) -> Bench {
        let bench = Bench {
            $0.database.poolSize = 1
            configure(&$0)
        }
        for name in clients {
            bench.connect(name)
            if name == clients.first { bench.login("S1") }
            bench.ignore(name)
        }
        bench.ignore("S1")
        return bench
    }

    @Test func firstComeFirstServed() {
        let bench = one(["A", "B", "C", "D"])
        #expect(bench.say("A", query("a")) == ["relay S1: Q(a)"])
        #expect(bench.say("C", query("c")) == ["pause C"])
        #expect(bench.say("B", query("b")) == ["pause B"])
        #expect(bench.say("D", query("d")) == ["pause D"])
        #expect(
            bench.say("S1", complete("A") + ready) == [
                "relay A: C(A) Z(I)", "resume C", "relay S1: Q(c)",
            ])
        // A newcomer goes behind those in line.
        #expect(bench.say("A", query("a2")) == ["pause A"])
        bench.say("S1", complete("C") + ready)
        bench.say("S1", complete("B") + ready)
        bench.say("S1", complete("D") + ready)
        bench.say("S1", complete("A2") + ready)
        #expect(bench.got("S1") == ["Q(a)", "Q(c)", "Q(b)", "Q(d)", "Q(a2)"])
        #expect(bench.got("A") == ["C(A)", "Z(I)", "C(A2)", "Z(I)"])
        #expect(bench.got("D") == ["C(D)", "Z(I)"])
        bench.finish()
    }

    @Test func whoLeavesTheLineDoesNotHoldItUp() {
        let bench = one(["A", "B", "C"])
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.say("C", query("c"))
        bench.end("B")
        bench.say("S1", complete("A") + ready)
        #expect(bench.got("S1") == ["Q(a)", "Q(c)"])
        bench.finish()
    }

    @Test func aServerIsOpenedForEachInLineUpToTheSize() {
        let bench = one(["A", "B", "C", "D"]) { $0.database.poolSize = 3 }
        #expect(bench.say("A", query("a")) == ["relay S1: Q(a)"])
        #expect(bench.say("B", query("b")) == ["pause B", "open S2"])
        #expect(bench.say("C", query("c")) == ["pause C", "open S3"])
        #expect(bench.say("D", query("d")) == ["pause D"])
        bench.login("S3")
        #expect(bench.got("S3").last == "Q(b)")
        bench.login("S2")
        #expect(bench.got("S2").last == "Q(c)")
        bench.finish()
    }

    @Test func theServerUsedLastIsLentOrTheyTakeTurns() {
        for (roundRobin, expected) in [(false, ["S2", "S2"]), (true, ["S1", "S2"])] {
            let bench = Bench { $0.global.serverRoundRobin = roundRobin }
            bench.connect("A")
            bench.login("S1")
            bench.connect("B")
            bench.say("A", query("a"))
            bench.say("B", query("b"))
            bench.login("S2")
            bench.say("S1", complete("A") + ready)
            bench.say("S2", complete("B") + ready)
            var used: [String] = []
            for _ in 0..<2 {
                bench.say("A", query("x"))
                let server = String(bench.state("A").dropFirst(7))
                used.append(server)
                bench.say(server, complete("X") + ready)
            }
            #expect(used == expected)
            bench.finish()
        }
    }

    @Test func loginWaitersAreGreetedByOneServerAndServedInOrder() {
        let bench = Bench { $0.database.poolSize = 1 }
        for name in ["A", "B", "C"] { bench.connect(name) }
        #expect(bench.liveNames == ["A", "B", "C", "S1"])
        bench.login("S1")
        for name in ["A", "B", "C"] {
            #expect(bench.got(name).last == "Z(I)")
            #expect(bench.state(name) == "idle")
        }
        bench.finish()
    }

    @Test func aRequestThatWaitsIsNotLost() {
        let bench = one(["A", "B"])
        bench.say("A", query("a"))
        bench.say("B", query("b1") + query("b2"))
        bench.say("B", query("b3"))
        bench.say("S1", complete("A") + ready)
        #expect(bench.got("S1") == ["Q(a)", "Q(b1)", "Q(b2)", "Q(b3)"])
        bench.finish()
    }

    @Test func minimumSizeIsKeptUp() {
        let bench = Bench {
            $0.database.minPoolSize = 3
            $0.database.poolSize = 5
        }
        bench.connect("A")
        #expect(bench.liveNames == ["A", "S1"])
        bench.login("S1")
        #expect(bench.liveNames == ["A", "S1", "S2", "S3"])
        for name in ["S2", "S3"] { bench.login(name) }
        bench.end("S2")
        #expect(bench.liveNames == ["A", "S1", "S3", "S4"])
        bench.finish()
    }

    @Test func theReserveIsForThoseWhoWaitLong() {
        let bench = one(["A", "B", "C"]) {
            $0.global.reservePoolSize = 1
            $0.global.reservePoolTimeout = .seconds(5)
        }
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.say("C", query("c"))
        #expect(bench.pass(TimeSpan(nanoseconds: 4_999_999_999)) == [])
        #expect(bench.pass(TimeSpan(nanoseconds: 1)).contains("open S2"))
        bench.login("S2")
        #expect(bench.got("S2").last == "Q(b)")
        bench.pass(.seconds(60))
        #expect(bench.liveNames == ["A", "B", "C", "S1", "S2"])
        // What is above the size goes when nobody is in line any more.
        bench.say("S2", complete("B") + ready)
        #expect(bench.state("C") == "active S2")
        bench.say("S2", complete("C") + ready)
        #expect(bench.state("S2") == "gone")
        bench.finish()
    }

    @Test func oneDatabasesLimitMovesServersBetweenItsPools() {
        let bench = Bench { $0.database.maxDbConnections = 1 }
        bench.connect("A")
        bench.login("S1")
        bench.connect("B", user: "v")
        #expect(bench.state("S1") == "gone")
        bench.login("S2")
        #expect(bench.state("B") == "idle")
        bench.say("B", query("b"))
        bench.say("A", query("a"))
        #expect(bench.state("A") == "waiting")
        bench.say("S2", complete("B") + ready)
        #expect(bench.state("S2") == "gone")
        bench.login("S3")
        #expect(bench.got("S3").last == "Q(a)")
        bench.finish()
    }

    @Test func oneUsersLimitHoldsOverDatabases() {
        let bench = Bench {
            $0.global.maxUserConnections = 1
            var other = DatabaseEntry(name: "other")
            other.hosts = ["10.0.0.2"]
            $0.moreDatabases = [other]
        }
        bench.connect("A")
        bench.login("S1")
        bench.say("A", query("a"))
        bench.connect("B", database: "other")
        #expect(bench.state("B") == "awaitingWelcome")
        bench.say("S1", complete("A") + ready)
        #expect(bench.state("S1") == "gone")
        bench.login("S2")
        #expect(bench.state("B") == "idle")
        bench.finish()
    }

    @Test func clientsOfOneForcedUserShareAPool() {
        let bench = Bench { $0.database.user = "v" }
        bench.connect("A")
        bench.login("S1")
        bench.connect("B", user: "w")
        bench.ignore("S1")
        bench.say("A", query("a"))
        bench.say("S1", complete("A") + ready)
        bench.say("B", query("b"))
        #expect(bench.got("S1") == ["Q(a)", "Q(b)"])
        bench.finish()
    }

    @Test func hostsTakeTurns() {
        let bench = Bench {
            $0.database.hosts = ["10.0.0.1", "10.0.0.2"]
            $0.database.minPoolSize = 4
        }
        bench.connect("A")
        bench.login("S1")
        let hosts = ["S1", "S2", "S3", "S4"].map { bench.endpoints[$0]?.host }
        #expect(hosts == ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"])
        bench.finish()
    }

    @Test func withoutBalancingTheNextHostIsForFailures() {
        let bench = Bench {
            $0.database.hosts = ["10.0.0.1", "10.0.0.2"]
            $0.database.loadBalanceHosts = .disable
        }
        bench.connect("A")
        bench.fail("S1")
        bench.pass(.seconds(15))
        #expect(bench.endpoints["S2"]?.host == "10.0.0.2")
        bench.finish()
    }

    // MARK: Servers that cannot be reached

    @Test func thoseInLineKeepTheirPlaceWhenNobodyAnswers() {
        let bench = one(["A", "B"])
        bench.end("S1")
        bench.say("A", query("a"))
        bench.fail("S2")
        #expect(bench.state("A") == "waiting")
        #expect(bench.pass(TimeSpan(nanoseconds: 14_999_999_999)).filter { $0.hasPrefix("open") } == [])
        #expect(bench.pass(TimeSpan(nanoseconds: 1)).contains("open S3"))
        bench.login("S3")
        #expect(bench.got("S3").last == "Q(a)")
        bench.finish()
    }

    @Test func whoComesWhileLoginsFailHearsWhy() {
        let bench = one(["A", "B"])
        bench.end("S1")
        bench.say("A", query("a"))
        bench.reach("S2")
        bench.say("S2", failure("3D000", "database \"db\" does not exist", severity: "FATAL"))
        #expect(bench.got("A") == ["E(FATAL 3D000 database \"db\" does not exist)", "closed"])
        bench.say("B", query("b"))
        #expect(
            bench.got("B") == [
                "E(FATAL 08P01 server login has been failing, cached error: database \"db\" does not exist (server_login_retry))",
                "closed",
            ])
        bench.finish()
    }

    /// PostgreSQL that is only starting up is not an error for those in line.
    @Test func startingUpIsWaitedFor() {
        let bench = one(["A", "B"])
        bench.end("S1")
        bench.say("A", query("a"))
        bench.reach("S2")
        bench.say("S2", failure("57P03", "the database system is starting up", severity: "FATAL"))
        #expect(bench.state("A") == "waiting")
        bench.pass(.seconds(15))
        bench.login("S3")
        #expect(bench.got("S3").last == "Q(a)")
        bench.finish()
    }

    @Test func aFullPostgreSQLOnlyMeansFewerServers() {
        let bench = one(["A", "B"]) { $0.database.poolSize = 2 }
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.reach("S2")
        bench.say("S2", failure("53300", "too many clients", severity: "FATAL"))
        #expect(bench.state("B") == "waiting")
        bench.say("S1", complete("A") + ready)
        #expect(bench.state("B") == "active S1")
        bench.finish()
    }

    /// A login that is ended from outside says nothing about the next one.
    @Test(arguments: ["57P01", "57P02", "57P03"])
    func aLoginThatIsEndedKeepsThoseInLine(_ state: String) {
        let bench = one(["A", "B"]) { $0.database.poolSize = 2 }
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.reach("S2")
        bench.say("S2", failure(state, "terminating connection", severity: "FATAL"))
        #expect(bench.got("B") == [])
        #expect(bench.state("B") == "waiting")
        bench.say("S1", complete("A") + ready)
        #expect(bench.state("B") == "active S1")
        bench.finish()
    }

    /// One login at first, several at once when one has worked, and one at a time again after a failure.
    @Test func loginsAreTriedOneAtATimeUntilOneWorks() {
        let bench = Bench { $0.database.poolSize = 10 }
        let clients = ["A", "B", "C", "D", "E", "F"]
        for name in clients { bench.connect(name) }
        #expect(bench.liveNames == clients + ["S1"])
        bench.fail("S1")
        #expect(bench.liveNames == clients)
        #expect(bench.pass(.seconds(15)).filter { $0.hasPrefix("open") } == ["open S2"])
        bench.login("S2")
        for name in clients { bench.say(name, query(name)) }
        #expect(bench.liveNames == clients + ["S2", "S3", "S4", "S5", "S6"])
        bench.fail("S3")
        for name in ["S4", "S5", "S6"] { bench.fail(name) }
        #expect(bench.liveNames == clients + ["S2"])
        bench.pass(.seconds(15))
        #expect(bench.liveNames == clients + ["S2", "S7"])
        bench.login("S7")
        #expect(bench.liveNames.count == clients.count + 2 + 4)
        bench.finish()
    }

    // MARK: Checks and lifetimes

    @Test func aServerThatRestedIsCheckedFirst() {
        let bench = one(["A"]) { $0.global.serverCheckDelay = .seconds(30) }
        bench.pass(.seconds(30))
        #expect(bench.say("A", query("a")) == ["relay S1: Q(a)"])
        bench.say("S1", complete("A") + ready)
        bench.pass(.seconds(31))
        #expect(bench.say("A", query("b")) == ["send S1: Q", "pause A"])
        #expect(bench.say("S1", emptyQuery + ready) == ["resume A", "relay S1: Q(b)"])
        bench.finish()
    }

    /// A and B logged in; S1 and S2 idle, S2 used last.
    private func two(_ configure: (inout Setup) -> Void = { _ in }) -> Bench {
        let bench = one(["A", "B"]) {
            $0.database.poolSize = 2
            configure(&$0)
        }
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.login("S2")
        bench.say("S1", complete("A") + ready)
        bench.say("S2", complete("B") + ready)
        return bench
    }

    @Test func whoComesDuringACheckDoesNotWaitForThatServer() {
        let bench = two()
        bench.pass(.seconds(31))
        #expect(bench.say("A", query("a2")) == ["send S2: Q", "pause A"])
        #expect(bench.say("B", query("b2")) == ["pause B", "send S1: Q"])
        // The first answer is for the first in line.
        #expect(bench.say("S1", emptyQuery + ready) == ["resume A", "relay S1: Q(a2)"])
        #expect(bench.say("S2", emptyQuery + ready) == ["resume B", "relay S2: Q(b2)"])
        bench.finish()
    }

    @Test func aServerThatNeedsNoCheckServesWhoWaitsForOne() {
        let bench = two { $0.global.serverRoundRobin = true }
        bench.pass(.seconds(20))
        bench.say("A", query("a2"))
        bench.say("B", query("b2"))
        bench.say("S2", complete("B") + ready)
        bench.pass(.seconds(29))
        bench.say("S1", complete("A") + ready)
        bench.pass(.seconds(2))
        #expect(bench.say("A", query("a3")) == ["send S2: Q", "pause A"])
        #expect(bench.say("B", query("b3")) == ["pause B", "resume A", "relay S1: Q(a3)"])
        #expect(bench.say("S2", emptyQuery + ready) == ["resume B", "relay S2: Q(b3)"])
        bench.finish()
    }

    @Test func aCheckThatFailsCostsTheServer() {
        let bench = one(["A"])
        bench.pass(.seconds(31))
        bench.say("A", query("b"))
        bench.say("S1", failure("XX000", "broken") + ready)
        #expect(bench.state("S1") == "gone")
        #expect(bench.liveNames == ["A", "S2"])
        bench.finish()
    }

    @Test func aCheckThatIsNeverAnsweredCostsTheServer() {
        let bench = one(["A"])
        bench.pass(.seconds(31))
        bench.say("A", query("b"))
        bench.pass(.seconds(14))
        #expect(bench.state("S1") == "testing")
        bench.pass(.seconds(1))
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func noCheckQueryNoCheck() {
        let bench = one(["A"]) { $0.global.serverCheckQuery = "" }
        bench.pass(.seconds(500))
        #expect(bench.say("A", query("b")) == ["relay S1: Q(b)"])
        bench.finish()
    }
}
