import Config
import Primitives
import Session
import Testing

@testable import Engine

/// `autodb_idle_timeout`: what only `*` knows is forgotten when nobody has used it for that long.
@Suite struct AutoDatabaseTests {
    /// `other` is known to `*` only; A has used it and has gone, and so has its server.
    private static func bench(_ configure: (inout Setup) -> Void = { _ in }) -> Bench {
        let bench = Bench {
            var star = DatabaseEntry(name: "*")
            star.hosts = ["10.0.0.9"]
            $0.autoDatabase = star
            $0.global.autodbIdleTimeout = .seconds(100)
            configure(&$0)
        }
        bench.connect("A", database: "other")
        if bench.server("S1") == nil { bench.say("A", password("secret")) }
        bench.login("S1")
        bench.end("A")
        bench.end("S1")
        return bench
    }

    @Test func itIsForgottenWithItsPools() {
        let bench = Self.bench()
        let pools = bench.board.pools.count
        bench.pass(.seconds(99))
        #expect(bench.board.database(named: "other") != nil)
        bench.pass(.seconds(2))
        #expect(bench.board.database(named: "other") == nil)
        #expect(bench.board.pools.count == pools - 1)
        #expect(
            bench.log.contains(
                "dropping database 'other' as it does not exist anymore or inactive auto-database"))
        // It is made again for whoever asks.
        bench.connect("B", database: "other")
        bench.login("S2")
        #expect(bench.state("B") == "idle")
        bench.finish()
    }

    @Test func useCountsFromItsEnd() {
        let bench = Self.bench()
        bench.pass(.seconds(60))
        bench.connect("B", database: "other")
        bench.pass(.seconds(60))
        bench.end("B")
        if bench.server("S2") != nil { bench.end("S2") }
        bench.pass(.seconds(99))
        #expect(bench.board.database(named: "other") != nil)
        bench.pass(.seconds(2))
        #expect(bench.board.database(named: "other") == nil)
        bench.finish()
    }

    @Test func aLoginOnItsWayKeepsIt() {
        let bench = Self.bench {
            $0.global.authType = .plain
            $0.global.clientLoginTimeout = .seconds(1000)
        }
        bench.pass(.seconds(50))
        bench.connect("B", database: "other")
        bench.pass(.seconds(500))
        #expect(bench.board.database(named: "other") != nil)
        bench.say("B", password("secret"))
        #expect(bench.state("B") == "idle")
        bench.finish()
    }

    @Test func zeroKeepsIt() {
        let bench = Self.bench { $0.global.autodbIdleTimeout = .zero }
        bench.pass(.seconds(100_000))
        #expect(bench.board.database(named: "other") != nil)
        bench.finish()
    }

    @Test func whatIsPausedOrDisabledIsKept() {
        let bench = Self.bench()
        guard let database = bench.board.database(named: "other") else { return }
        bench.tell { $0.setDisabled(database, true, into: &$2) }
        bench.pass(.seconds(1000))
        #expect(bench.board.database(named: "other") != nil)
        bench.tell { $0.setDisabled(database, false, into: &$2) }
        bench.pass(.seconds(1))
        #expect(bench.board.database(named: "other") == nil)
        bench.finish()
    }

    @Test func databasesWithALineAreNotTouched() {
        let bench = Self.bench()
        bench.pass(.seconds(1000))
        #expect(bench.board.database(named: "db") != nil)
        #expect(bench.board.database(named: "pgbouncer") != nil)
        bench.finish()
    }
}
