import Config
import Primitives
import Testing

@testable import Engine

/// Every timeout, in virtual time: not a nanosecond early, and at its time.
@Suite struct TimersTests {
    /// Passes all but a nanosecond of the span, then that.
    private func expectEnd(
        of name: String, after span: TimeSpan, _ bench: Bench, _ text: String?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        bench.pass(TimeSpan(nanoseconds: span.nanoseconds - 1))
        #expect(bench.state(name) != "gone", "too early", sourceLocation: sourceLocation)
        bench.pass(TimeSpan(nanoseconds: 1))
        #expect(bench.state(name) == "gone", "too late", sourceLocation: sourceLocation)
        if let text {
            #expect(
                bench.got(name).suffix(2) == ["E(FATAL 08P01 \(text))", "closed"],
                sourceLocation: sourceLocation)
        }
    }

    @Test func queryWaitTimeout() {
        let bench = Bench.withServer {
            $0.database.poolSize = 1
            $0.global.queryWaitTimeout = .seconds(120)
        }
        bench.connect("B")
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        expectEnd(of: "B", after: .seconds(120), bench, "query_wait_timeout")
        #expect(bench.state("A") == "active S1")
        bench.finish()
    }

    @Test func whoWaitsIsTold() {
        let bench = Bench.withServer {
            $0.database.poolSize = 1
            $0.global.queryWaitNotify = .seconds(5)
        }
        bench.connect("B")
        bench.ignore("B")
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.pass(TimeSpan(nanoseconds: 4_999_999_999))
        #expect(bench.got("B") == [])
        bench.pass(.seconds(100))
        #expect(
            bench.got("B") == [
                "N(NOTICE 00000 No server connection available in postgres backend, client being queued)"
            ])
        bench.finish()
    }

    @Test func queryTimeout() {
        let bench = Bench.withServer { $0.global.queryTimeout = .seconds(7) }
        bench.say("A", query("a"))
        bench.pass(.seconds(6))
        bench.say("S1", result("1") + ready)
        // a new query has its own time
        bench.say("A", query("b"))
        expectEnd(of: "A", after: .seconds(7), bench, "query timeout")
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func queryTimeoutInLine() {
        let bench = Bench.withServer {
            $0.database.poolSize = 1
            $0.global.queryTimeout = .seconds(7)
            var patient = UserEntry(name: "u")
            patient.queryTimeout = .seconds(1000)
            $0.users = [patient]
            $0.database.user = "u"
        }
        bench.connect("B", user: "v")
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        expectEnd(of: "B", after: .seconds(7), bench, "query_timeout")
        bench.finish()
    }

    /// A pipeline that moves on is one query until it is answered to its end.
    @Test func queryTimeoutInTheMiddleOfAMessage() {
        let bench = Bench.withServer { $0.global.queryTimeout = .seconds(7) }
        bench.say("A", query("a"))
        bench.say("S1", rowDescription + row("long").dropLast(2))
        bench.pass(.seconds(7))
        let sent = bench.sent["A"] ?? []
        #expect(sent.suffix(3) == row("long").dropLast(2).suffix(3))
        #expect(bench.state("A") == "gone")
        bench.finish()
    }

    @Test func idleTransactionTimeout() {
        let bench = Bench.withServer { $0.global.idleTransactionTimeout = .seconds(9) }
        bench.say("A", query("begin"))
        bench.pass(.seconds(30))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.pass(.seconds(8))
        bench.say("A", query("select 1"))
        bench.pass(.seconds(30))
        bench.say("S1", result("1") + readyInTransaction)
        expectEnd(of: "A", after: .seconds(9), bench, "idle transaction timeout")
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func transactionTimeout() {
        let bench = Bench.withServer { $0.global.transactionTimeout = .seconds(20) }
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.pass(.seconds(15))
        bench.say("A", query("select 1"))
        expectEnd(of: "A", after: .seconds(5), bench, "transaction timeout")
        bench.finish()
    }

    @Test func noTransactionNoTimeout() {
        let bench = Bench.withServer {
            $0.global.idleTransactionTimeout = .seconds(1)
            $0.global.transactionTimeout = .seconds(1)
            $0.global.queryTimeout = .seconds(1)
            $0.global.poolMode = .session
        }
        bench.say("A", query("select 1"))
        bench.say("S1", result("1") + ready)
        bench.pass(.seconds(100))
        #expect(bench.state("A") == "active S1")
        bench.finish()
    }

    @Test func clientLoginTimeout() {
        let bench = Bench {
            $0.global.authType = .plain
            $0.global.clientLoginTimeout = .seconds(60)
        }
        bench.dial("A")
        bench.pass(.seconds(10))
        bench.say("A", startup([("user", "u"), ("database", "db")]))
        bench.pass(.seconds(10))
        bench.dial("B")
        bench.say("B", [0])
        expectEnd(of: "A", after: .seconds(40), bench, "client_login_timeout")
        #expect(bench.state("B") == "startup")
        bench.pass(.seconds(20))
        #expect(bench.state("B") == "gone")
        bench.finish()
    }

    @Test func loginTimeoutWhileNoServerAnswers() {
        let bench = Bench { $0.global.clientLoginTimeout = .seconds(60) }
        bench.connect("A")
        expectEnd(of: "A", after: .seconds(60), bench, "client_login_timeout (server down)")
        bench.finish()
    }

    @Test func clientIdleTimeout() {
        let bench = Bench {
            $0.global.clientIdleTimeout = .seconds(50)
            $0.global.serverCheckQuery = ""
            var patient = UserEntry(name: "v")
            patient.clientIdleTimeout = .zero
            $0.users = [patient]
        }
        bench.connect("A")
        bench.login("S1")
        bench.connect("B", user: "v")
        bench.login("S2")
        bench.pass(.seconds(49))
        bench.say("A", query("a"))
        bench.pass(.seconds(100))
        #expect(bench.state("A") == "active S1")
        bench.say("S1", complete("A") + ready)
        expectEnd(of: "A", after: .seconds(50), bench, "client_idle_timeout")
        #expect(bench.state("B") == "idle")
        bench.finish()
    }

    @Test func serverConnectTimeout() {
        let bench = Bench { $0.global.serverConnectTimeout = .seconds(15) }
        bench.connect("A")
        expectEnd(of: "S1", after: .seconds(15), bench, nil)
        #expect(bench.state("A") == "awaitingWelcome")
        bench.pass(.seconds(15))
        bench.reach("S2")
        bench.pass(.seconds(14))
        bench.say("S2", authenticationOk)
        bench.pass(.seconds(1))
        #expect(bench.state("S2") == "gone")
        bench.finish()
    }

    @Test func serverIdleTimeout() {
        let bench = Bench.withServer { $0.global.serverIdleTimeout = .seconds(600) }
        bench.pass(.seconds(599))
        bench.say("A", query("a"))
        bench.say("S1", emptyQuery + ready)  // the check
        bench.say("S1", complete("A") + ready)
        #expect(bench.state("S1") == "idle")
        expectEnd(of: "S1", after: .seconds(600), bench, nil)
        bench.finish()
    }

    @Test func theMinimumIsNotIdleTooLong() {
        let bench = Bench {
            $0.global.serverIdleTimeout = .seconds(60)
            $0.database.minPoolSize = 1
        }
        bench.connect("A")
        bench.login("S1")
        bench.pass(.seconds(1000))
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test func serverLifetime() {
        let bench = Bench.withServer {
            $0.global.serverLifetime = .seconds(3600)
            $0.global.serverIdleTimeout = .zero
        }
        expectEnd(of: "S1", after: .seconds(3600), bench, nil)
        bench.finish()
    }

    @Test func aServerInUseOutlivesItsLifetimeUntilItIsFree() {
        let bench = Bench.withServer { $0.global.serverLifetime = .seconds(100) }
        bench.pass(.seconds(20))
        bench.say("A", query("a"))
        bench.pass(.seconds(200))
        #expect(bench.state("S1") == "active")
        bench.say("S1", complete("A") + ready)
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func serverLoginRetry() {
        let bench = Bench { $0.global.serverLoginRetry = .seconds(15) }
        bench.connect("A")
        bench.fail("S1")
        bench.pass(TimeSpan(nanoseconds: 14_999_999_999))
        #expect(bench.liveNames == ["A"])
        bench.pass(TimeSpan(nanoseconds: 1))
        #expect(bench.liveNames == ["A", "S2"])
        bench.finish()
    }

    @Test func zeroMeansNever() {
        let bench = Bench {
            $0.global.queryWaitTimeout = .zero
            $0.global.queryWaitNotify = .zero
            $0.global.clientLoginTimeout = .zero
            $0.global.serverConnectTimeout = .zero
            $0.global.serverIdleTimeout = .zero
            $0.global.serverLifetime = TimeSpan(nanoseconds: .max)
            $0.database.poolSize = 1
        }
        bench.connect("A")
        bench.pass(.seconds(100_000))
        #expect(bench.liveNames == ["A", "S1"])
        bench.login("S1")
        bench.connect("B")
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.pass(.seconds(100_000))
        #expect(bench.liveNames == ["A", "B", "S1"])
        bench.say("S1", complete("A") + ready)
        bench.say("S1", complete("B") + ready)
        bench.pass(.seconds(100_000))
        #expect(bench.liveNames == ["A", "B", "S1"])
        bench.finish()
    }

    /// Deadlines that were left behind wake nobody, and the queue does not grow with the queries.
    @Test func aQueryCostsNoTimer() {
        let bench = Bench.withServer {
            $0.global.queryTimeout = .seconds(100)
            $0.global.clientIdleTimeout = .seconds(100)
        }
        for _ in 0..<2000 {
            bench.say("A", query("a"))
            bench.say("S1", complete("A") + ready)
            bench.pass(.milliseconds(1))
        }
        let count = bench.board.timers.count
        #expect(count < 20)
        bench.finish()
    }
}
