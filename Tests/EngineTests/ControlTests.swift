import Config
import Primitives
import Session
import Testing

@testable import Engine

/// What operators want: reload, pause, kill, reconnect, shut down.
@Suite struct ControlTests {
    private func database(_ bench: Bench) -> DatabaseID? { bench.board.database(named: "db") }

    /// A console client called K.
    private func console(_ configure: (inout Setup) -> Void = { _ in }) -> (Bench, ClientID?) {
        let bench = Bench.withServer {
            $0.global.adminUsers = ["w"]
            configure(&$0)
        }
        bench.connect("K", user: "w", database: "pgbouncer")
        return (bench, bench.client("K"))
    }

    @Test func pauseWaitsForTransactionsAndResumeGoesOn() {
        let (bench, console) = console()
        bench.connect("B")
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.tell { board, now, actions in board.pause(nil, for: console, now: now, into: &actions) }
        var news = bench.board.takeConsoleNews()
        #expect(news == [])
        bench.say("B", query("b"))
        #expect(bench.state("B") == "waiting")
        bench.say("A", query("select 1"))
        bench.say("S1", result("1") + readyInTransaction)
        bench.say("A", query("commit"))
        bench.say("S1", complete("COMMIT") + ready)
        #expect(bench.state("S1") == "gone")
        news = bench.board.takeConsoleNews()
        #expect(news.map(\.outcome) == [.done])
        #expect(bench.liveNames == ["A", "B", "K"])
        bench.tell { board, now, actions in board.resume(nil, now: now, into: &actions) }
        bench.login("S2")
        #expect(bench.got("S2").last == "Q(b)")
        bench.finish()
    }

    @Test func pauseClosesWhatIsIdleAndComing() {
        let (bench, console) = console()
        bench.connect("B", user: "v")
        #expect(bench.liveNames.contains("S2"))
        bench.tell { board, now, actions in board.pause(nil, for: console, now: now, into: &actions) }
        #expect(bench.liveNames == ["A", "B", "K"])
        let news = bench.board.takeConsoleNews()
        #expect(news.count == 1)
        // no new login can get a server, but it is not refused
        bench.connect("C", user: "v")
        #expect(bench.state("C") == "awaitingWelcome")
        bench.tell { board, now, actions in board.resume(nil, now: now, into: &actions) }
        #expect(bench.liveNames.contains { $0.hasPrefix("S") })
        bench.finish()
    }

    /// The name of A's servers leads elsewhere: the idle one goes, the one at work may finish.
    @Test func serversAtOldAddressesGoWhenTheyAreFree() throws {
        let (bench, _) = console { $0.global.defaultPoolSize = 2 }
        bench.connect("B")
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        let server = try #require(bench.server("S1"))
        let host = bench.board.servers[server].endpoint.host
        let remote = SocketAddress(family: .ipv4, high: 0x0A00_0001 << 32)
        let elsewhere = SocketAddress(family: .ipv4, high: 0x0A00_0002 << 32)
        var isRetiring: Bool { bench.board.servers[server].retirement != nil }
        func move(_ name: ByteString, _ addresses: [SocketAddress]) {
            bench.tell { board, now, actions in
                board.moved(MovedHost(name: name, addresses: addresses), now: now, into: &actions)
            }
        }
        move(host, [elsewhere, remote])
        move("another.host", [elsewhere])
        #expect(!isRetiring)
        move(host, [elsewhere])
        #expect(isRetiring)
        bench.say("A", query("commit"))
        bench.say("S1", complete("COMMIT") + ready)
        #expect(bench.state("S1") == "gone")
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test func oneDatabaseAlone() {
        let bench = Bench.withServer {
            var other = DatabaseEntry(name: "other")
            other.hosts = ["10.0.0.2"]
            $0.moreDatabases = [other]
        }
        bench.connect("B", database: "other")
        bench.login("S2")
        let database = database(bench)
        bench.tell { board, now, actions in board.pause(database, for: nil, now: now, into: &actions) }
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        #expect(bench.state("A") == "waiting")
        #expect(bench.state("B") == "active S2")
        bench.tell { board, now, actions in board.resume(database, now: now, into: &actions) }
        bench.login("S3")
        #expect(bench.state("A") == "active S3")
        bench.finish()
    }

    @Test func killDropsAllOfADatabase() {
        let bench = Bench.withServer()
        bench.connect("B")
        bench.say("A", query("a"))
        let database = database(bench)
        bench.tell { board, now, actions in
            if let database { board.kill(database, because: .killed, now: now, into: &actions) }
        }
        #expect(bench.liveNames == [])
        bench.connect("C")
        bench.say("C", query("c"))
        #expect(bench.liveNames == ["C"])
        bench.tell { board, now, actions in board.resume(database, now: now, into: &actions) }
        bench.login("S2")
        #expect(bench.state("C") == "active S2")
        bench.finish()
    }

    @Test func killWhileACancelIsUnderWay() {
        let bench = Bench.withServer()
        bench.say("A", query("a"))
        bench.dial("X")
        bench.say("X", cancelRequest(bench.key(of: "A")))
        guard let database = database(bench) else { return }
        bench.tell { board, now, actions in
            board.kill(database, because: .killed, now: now, into: &actions)
        }
        // The connection for the cancel goes with the server it was meant for.
        #expect(bench.got("A").last == "closed")
        #expect(bench.liveNames == [])
        bench.finish()
    }

    @Test func disabledDatabasesTakeNoNewClients() {
        let bench = Bench.withServer()
        guard let database = database(bench) else { return }
        bench.tell { board, _, list in board.setDisabled(database, true, into: &list) }
        bench.connect("B")
        #expect(bench.got("B") == ["E(FATAL 08P01 database \"db\" is disabled)", "closed"])
        bench.say("A", query("a"))
        #expect(bench.state("A") == "active S1")
        bench.tell { board, _, list in board.setDisabled(database, false, into: &list) }
        bench.connect("B")
        #expect(bench.state("B") == "idle")
        bench.finish()
    }

    @Test func reconnectReplacesServersWhenTheyAreFree() {
        let (bench, console) = console { $0.database.poolSize = 2 }
        bench.connect("B")
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.say("B", query("b"))
        bench.login("S2")
        bench.say("S2", complete("B") + ready)
        #expect(bench.state("S2") == "idle")
        bench.tell { board, now, actions in
            board.reconnect(nil, now: now, into: &actions)
            if let console { board.waitForClose(nil, for: console, now: now, into: &actions) }
        }
        #expect(bench.state("S2") == "gone")
        #expect(bench.state("A") == "active S1")
        var news = bench.board.takeConsoleNews()
        #expect(news == [])
        bench.say("A", query("commit"))
        bench.say("S1", complete("COMMIT") + ready)
        #expect(bench.state("S1") == "gone")
        bench.pass(.seconds(1))
        news = bench.board.takeConsoleNews()
        #expect(news.count == 1)
        bench.say("A", query("a"))
        bench.login("S3")
        #expect(bench.state("A") == "active S3")
        bench.finish()
    }

    // MARK: Reload

    private func reload(_ bench: Bench, _ configure: (inout Setup) -> Void) {
        var setup = Setup()
        configure(&setup)
        let snapshot = setup.snapshot
        bench.tell { board, now, actions in board.reloaded(snapshot, for: nil, now: now, into: &actions)
        }
    }

    @Test func aReloadThatChangesNothingDisturbsNobody() {
        let bench = Bench.withServer()
        bench.connect("B")
        bench.say("A", query("a"))
        for _ in 0..<100 { reload(bench) { _ in } }
        bench.say("S1", result("1") + ready)
        #expect(bench.liveNames == ["A", "B", "S1"])
        bench.finish()
    }

    @Test func aDatabaseThatIsGone() {
        let bench = Bench.withServer()
        bench.connect("B")
        bench.say("A", query("a"))
        reload(bench) { $0.database = DatabaseEntry(name: "other") }
        #expect(bench.got("A").suffix(2) == ["E(FATAL 08P01 database removed)", "closed"])
        #expect(bench.liveNames == [])
        bench.connect("C")
        #expect(bench.got("C") == ["E(FATAL 08P01 no such database: db)", "closed"])
        reload(bench) { _ in }
        bench.connect("D")
        bench.say("D", query("d"))
        bench.login("S2")
        #expect(bench.state("D") == "active S2")
        bench.finish()
    }

    @Test func aDatabaseThatLiesElsewhere() {
        let bench = Bench.withServer()
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        reload(bench) { $0.database.hosts = ["10.0.0.2"] }
        #expect(bench.state("A") == "active S1")
        bench.say("A", query("commit"))
        bench.say("S1", complete("COMMIT") + ready)
        #expect(bench.state("S1") == "gone")
        bench.say("A", query("a"))
        #expect(bench.endpoints["S2"]?.host == "10.0.0.2")
        bench.login("S2")
        #expect(bench.state("A") == "active S2")
        bench.finish()
    }

    @Test func aSmallerPool() {
        let bench = Bench()
        for name in ["A", "B", "C"] { bench.connect(name) }
        bench.login("S1")
        for name in ["A", "B", "C"] { bench.say(name, query(name)) }
        for name in ["S2", "S3"] { bench.login(name) }
        for name in ["S1", "S2", "S3"] { bench.say(name, complete("X") + ready) }
        bench.say("A", query("a"))
        reload(bench) { $0.database.poolSize = 1 }
        let active = bench.state("A").dropFirst(7)
        #expect(bench.liveNames == ["A", "B", "C", String(active)])
        bench.say("B", query("b"))
        #expect(bench.state("B") == "waiting")
        bench.finish()
    }

    @Test func newSecretsAreInForceForNewLogins() {
        let bench = Bench { $0.global.authType = .plain }
        bench.connect("A")
        bench.say("A", password("secret"))
        reload(bench) {
            $0.global.authType = .plain
            $0.secrets = ["u": "changed"]
        }
        for (name, text, isIn) in [("B", "secret", false), ("C", "changed", true)] {
            bench.connect(name)
            bench.say(name, password(text))
            #expect((bench.state(name) != "gone") == isIn)
        }
        bench.connect("D", user: "v")
        bench.say("D", password("secret"))
        #expect(bench.state("D") == "gone")
        bench.finish()
    }

    @Test func aShorterTimeoutHoldsForThoseWhoWaitAlready() {
        let bench = Bench.withServer { $0.database.poolSize = 1 }
        bench.connect("B")
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.pass(.seconds(10))
        reload(bench) {
            $0.database.poolSize = 1
            $0.global.queryWaitTimeout = .seconds(20)
        }
        bench.pass(.seconds(9))
        #expect(bench.state("B") == "waiting")
        bench.pass(.seconds(1))
        #expect(bench.state("B") == "gone")
        bench.finish()
    }

    @Test func aFailedReloadIsTold() {
        let (bench, console) = console()
        bench.tell { board, now, actions in board.reloadFailed(for: console, now: now, into: &actions) }
        let news = bench.board.takeConsoleNews()
        #expect(news.map(\.outcome) == [.failed])
        bench.finish()
    }

    // MARK: Signals

    private func signal(_ bench: Bench, _ order: SignalOrder) -> [String] {
        bench.tell { board, now, actions in board.signalled(order, now: now, into: &actions) }
    }

    @Test func signals() {
        let bench = Bench.withServer()
        #expect(signal(bench, .reload) == ["reload"])
        #expect(signal(bench, .pause) == ["send S1: X", "close S1"])
        #expect(signal(bench, .pause) == [])
        bench.say("A", query("a"))
        #expect(signal(bench, .resume).contains("open S2"))
        #expect(signal(bench, .resume) == [])
        #expect(signal(bench, .shutdownNow) == ["exit"])
        bench.finish()
    }

    @Test func shutdownThatWaitsForClients() {
        let bench = Bench.withServer()
        bench.connect("B")
        #expect(signal(bench, .shutdownWaitForClients) == ["stopListening tcp"])
        bench.say("A", query("a"))
        bench.say("S1", complete("A") + ready)
        bench.connect("C")
        #expect(bench.got("C") == ["E(FATAL 08P01 pooler is shutting down)", "closed"])
        #expect(bench.say("A", terminate) == ["close A"])
        #expect(bench.say("B", terminate).contains("exit"))
        bench.finish()
    }

    @Test func shutdownThatWaitsForServers() {
        let bench = Bench.withServer { $0.database.poolSize = 2 }
        bench.connect("B")
        bench.connect("C")
        bench.connect("D")
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.say("B", query("b"))
        bench.login("S2")
        bench.say("S2", complete("B") + ready)
        bench.say("B", query("b2"))
        bench.say("C", query("c"))
        bench.ignore("C")
        _ = signal(bench, .shutdownWaitForServers)
        #expect(bench.got("C") == ["E(FATAL 08P01 server shutting down)", "closed"])
        bench.say("S2", complete("B2") + ready)
        #expect(bench.state("S2") == "gone")
        bench.ignore("D")
        bench.say("D", query("d"))
        #expect(bench.got("D") == ["E(FATAL 08P01 server shutting down)", "closed"])
        bench.say("A", query("commit"))
        #expect(bench.say("S1", complete("COMMIT") + ready).contains("exit"))
        bench.finish()
    }

    @Test(arguments: [SignalOrder.shutdownWaitForClients, .shutdownWaitForServers])
    func twiceMeansAtOnce(_ order: SignalOrder) {
        let bench = Bench.withServer()
        bench.say("A", query("a"))
        #expect(!signal(bench, order).contains("exit"))
        #expect(signal(bench, order).contains("exit"))
        bench.finish()
    }

    @Test func withNobodyThereItEndsAtOnce() {
        for order in [SignalOrder.shutdownWaitForClients, .shutdownWaitForServers] {
            #expect(signal(Bench(), order) == ["stopListening tcp", "exit"])
        }
    }

    // MARK: The console's messages

    @Test(arguments: Delivery.allCases)
    func consoleMessagesComeWhole(_ delivery: Delivery) {
        let bench = Bench(delivery) { $0.global.adminUsers = ["u"] }
        bench.connect("K", database: "pgbouncer")
        bench.say("K", query("SHOW POOLS") + query("SHOW CLIENTS"))
        let messages = bench.board.takeConsoleMessages()
        #expect(messages.map(\.body) == ["SHOW POOLS\0", "SHOW CLIENTS\0"])
        bench.say("K", message("Q", Bytes(repeating: 0x61, count: 70_000)))
        #expect(bench.state("K") == "gone")
        bench.finish()
    }

    @Test func aBusyConsoleIsNotRead() {
        let (bench, console) = console()
        guard let console else { return }
        #expect(
            bench.tell { board, _, actions in board.consoleIsBusy(console, into: &actions) } == [
                "pause K"
            ])
        bench.say("K", query("SHOW POOLS"))
        var count = bench.board.takeConsoleMessages().count
        #expect(count == 0)
        bench.tell { board, _, actions in board.consoleIsReady(console, into: &actions) }
        count = bench.board.takeConsoleMessages().count
        #expect(count == 1)
        bench.finish()
    }

    @Test func aCancelEndsWhatTheConsoleWaitsFor() {
        let (bench, console) = console()
        bench.say("A", query("a"))
        bench.tell { board, now, actions in board.pause(nil, for: console, now: now, into: &actions) }
        bench.dial("X")
        bench.say("X", cancelRequest(bench.key(of: "K")))
        let news = bench.board.takeConsoleNews()
        #expect(news.map(\.outcome) == [.cancelled])
        #expect(bench.state("X") == "gone")
        bench.finish()
    }

    // MARK: Statistics

    @Test func whatIsCounted() {
        let bench = Bench.withServer()
        bench.say("A", query("a"))
        bench.pass(.seconds(2))
        bench.say("S1", result("1") + ready)
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        bench.say("A", parse("x", "select 1") + bind("x") + execute + sync)
        bench.say("S1", parseComplete + bindComplete + complete("X") + readyInTransaction)
        bench.say("A", query("commit"))
        bench.say("S1", complete("COMMIT") + ready)
        guard let client = bench.client("A"), let pool = bench.board.clients[client].pool else {
            return
        }
        let counters = bench.board.pools[pool].counters
        #expect(counters.queries == 4)
        #expect(counters.transactions == 2)
        #expect(counters.queryTime == 2_000_000_000)
        #expect(counters.serverAssignments == 2)
        #expect([counters.clientParses, counters.serverParses, counters.binds] == [1, 1, 1])
        #expect(counters.clientLogins == 1)
        bench.finish()
    }

    @Test func periodsAreWhatHappenedInThem() {
        let bench = Bench.withServer { $0.global.statsPeriod = .seconds(60) }
        for _ in 0..<3 {
            bench.say("A", query("a"))
            bench.say("S1", complete("A") + ready)
        }
        bench.pass(.seconds(60))
        guard let client = bench.client("A"), let pool = bench.board.clients[client].pool else {
            return
        }
        var queries = bench.board.pools[pool].lastPeriod.queries
        #expect(queries == 3)
        bench.pass(.seconds(60))
        queries = bench.board.pools[pool].lastPeriod.queries
        #expect(queries == 0)
        bench.finish()
    }
}
