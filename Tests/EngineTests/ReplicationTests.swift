import Config
import Pool
import Primitives
import Session
import Testing

@testable import Engine

/// Replication connections: a server of its own for each, bytes both ways, and both end together.
@Suite struct ReplicationTests {
    private static let copyBoth = message("W", "···")
    private static let logical = [("replication", "database")]

    /// A is a replication client with S1.
    private static func bench(
        _ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in }
    ) -> Bench {
        let bench = Bench(delivery, configure)
        bench.connect("A", logical)
        bench.login("S1")
        bench.ignore("A", "S1")
        return bench
    }

    @Test(arguments: Delivery.allCases)
    func itsServerGetsItsParameters(_ delivery: Delivery) {
        let bench = Bench(delivery) { $0.database.applicationName = "pool" }
        bench.connect(
            "A",
            [
                ("replication", "database"), ("options", "-c enable_seqscan=off"),
                ("application_name", "abc"),
            ])
        bench.reach("S1")
        #expect(
            bench.got("S1") == [
                "startup(user·u·database·db·application_name·pool·replication·database·"
                    + "options·-c enable_seqscan=off·application_name·abc)"
            ])
        #expect(bench.got("A") == [])
        bench.login("S1", [("application_name", "abc"), ("in_hot_standby", "off")])
        #expect(
            bench.got("A") == [
                "R", "S(server_version·17.0)", "S(in_hot_standby·off)", "S(client_encoding·UTF8)",
                "S(DateStyle·ISO, MDY)", "S(TimeZone·UTC)", "S(standard_conforming_strings·on)",
                "S(application_name·abc)", "K(" + bench.key(of: "A").printable + ")", "Z(I)",
            ])
        #expect(bench.state("A") == "replicating")
        #expect(bench.state("S1") == "active")
        bench.finish()
    }

    @Test(arguments: ["true", "TRUE", "t", "on", "yes", "y", "1"])
    func physical(_ value: String) {
        let bench = Bench()
        bench.connect("A", [("replication", value)])
        bench.reach("S1")
        #expect(bench.got("S1") == ["startup(user·u·database·db·replication·true)"])
        bench.finish()
    }

    @Test(arguments: ["false", "off", "no", "0", "F", "n"])
    func noReplicationAtAll(_ value: String) {
        let bench = Bench()
        bench.connect("A", [("replication", value)])
        bench.login("S1")
        #expect(bench.got("S1") == ["startup(user·u·database·db)"])
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func copyBothPassesBothWays(_ delivery: Delivery) {
        let bench = Self.bench(delivery) { $0.global.poolMode = .statement }
        bench.say("A", query("START_REPLICATION SLOT s LOGICAL 0/0"))
        bench.say("S1", Self.copyBoth + copyData("w1"))
        bench.say("A", copyData("r1") + copyData("r2"))
        bench.say("S1", copyData("k1") + copyDone)
        bench.say("A", copyDone)
        bench.say("S1", complete("COPY 0") + complete("START_STREAMING") + ready)
        #expect(
            bench.got("S1") == ["Q(START_REPLICATION SLOT s LOGICAL 0/0)", "d(r1)", "d(r2)", "c"])
        #expect(
            bench.got("A") == [
                "W", "d(w1)", "d(k1)", "c", "C(COPY 0)", "C(START_STREAMING)", "Z(I)",
            ])
        bench.say("A", query("begin"))
        bench.say("S1", complete("BEGIN") + readyInTransaction)
        #expect(bench.state("A") == "replicating")
        #expect(bench.got("A") == ["C(BEGIN)", "Z(T)"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func bothEndTogether(_ delivery: Delivery) {
        let bench = Self.bench(delivery)
        bench.say("A", query("IDENTIFY_SYSTEM"))
        bench.say("S1", result("x") + ready)
        bench.ignore("A", "S1")
        bench.say("A", terminate)
        #expect(bench.got("S1") == ["X", "closed"])
        #expect(bench.got("A") == ["closed"])
        bench.connect("B", Self.logical)
        bench.login("S2")
        bench.ignore("B", "S2")
        bench.end("B")
        #expect(bench.got("S2") == ["X", "closed"])
        bench.connect("C", Self.logical)
        bench.login("S3")
        bench.ignore("C", "S3")
        bench.end("S3")
        #expect(bench.got("C") == ["E(FATAL 08P01 server conn crashed?)", "closed"])
        bench.finish()
    }

    @Test func aServersLastWordsAreNotFollowedByOurs() {
        let bench = Self.bench()
        bench.say("S1", failure("57P01", "terminating", severity: "FATAL"))
        bench.end("S1")
        #expect(bench.got("A") == ["E(FATAL 57P01 terminating)", "closed"])
        bench.finish()
    }

    @Test func nothingStandsInsideAMessage() {
        let bench = Self.bench()
        bench.say("S1", Array(copyData("0123456789").prefix(8)))
        bench.end("S1")
        #expect(bench.got("A") == ["…8", "closed"])
        bench.finish()
    }

    @Test func backPressureBothWays() {
        let bench = Self.bench()
        bench.congest("A")
        #expect(bench.paused == ["S1"])
        bench.drain("A")
        bench.congest("S1")
        #expect(bench.paused == ["A"])
        bench.drain("S1")
        #expect(bench.paused == [])
        #expect(bench.state("A") == "replicating")
        bench.finish()
    }

    @Test func itIsNotLentAndNotShared() {
        let bench = Self.bench()
        bench.connect("B")
        bench.login("S2")
        bench.say("B", query("select 1"))
        #expect(bench.state("B") == "active S2")
        bench.end("A")
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func itCountsInThePool() {
        let bench = Self.bench { $0.database.poolSize = 1 }
        bench.connect("B", Self.logical)
        #expect(bench.server("S2") == nil)
        #expect(bench.state("B") == "awaitingWelcome")
        bench.end("A")
        bench.login("S2")
        #expect(bench.state("B") == "replicating")
        bench.finish()
    }

    @Test func oneIdleServerMakesRoom() {
        let bench = Bench.withServer { $0.database.poolSize = 2 }
        bench.connect("B")
        bench.say("A", query("select 1"))
        bench.say("B", query("select 2"))
        bench.login("S2")
        bench.say("S1", result("1") + ready)
        bench.say("S2", result("2") + ready)
        bench.connect("R", Self.logical)
        #expect([bench.state("S1"), bench.state("S2")].filter { $0 == "gone" }.count == 1)
        bench.login("S3")
        #expect(bench.state("R") == "replicating")
        #expect(bench.log.filter { $0.contains("closing because: evicted") }.count == 1)
        bench.finish()
    }

    @Test func aServerThatIsSetFreeMakesRoom() {
        let bench = Bench.withServer { $0.database.poolSize = 1 }
        bench.say("A", query("select 1"))
        bench.connect("R", Self.logical)
        #expect(bench.server("S2") == nil)
        bench.say("S1", result("1") + ready)
        #expect(bench.state("S1") == "gone")
        bench.login("S2")
        #expect(bench.state("R") == "replicating")
        bench.finish()
    }

    @Test func theLimitOfTheDatabaseHoldsToo() {
        let bench = Bench.withServer { $0.global.maxDbConnections = 1 }
        bench.say("A", query("select 1"))
        bench.connect("R", Self.logical)
        #expect(bench.server("S2") == nil)
        bench.say("S1", result("1") + ready)
        bench.login("S2")
        #expect(bench.state("R") == "replicating")
        bench.finish()
    }

    @Test func waitingHasItsLimit() {
        let bench = Self.bench {
            $0.database.poolSize = 1
            $0.global.queryWaitTimeout = .seconds(5)
        }
        bench.connect("B", Self.logical)
        bench.pass(.seconds(6))
        #expect(bench.got("B") == ["E(FATAL 08P01 query_wait_timeout)", "closed"])
        #expect(bench.state("A") == "replicating")
        bench.finish()
    }

    @Test func aRefusalIsItsOwn() {
        let bench = Bench()
        bench.connect("A", Self.logical)
        bench.connect("B", Self.logical)
        bench.reach("S1")
        bench.say("S1", failure("42501", "permission denied to start WAL sender", severity: "FATAL"))
        #expect(bench.got("A") == ["E(FATAL 08P01 login failed)", "closed"])
        #expect(bench.state("S1") == "gone")
        #expect(bench.log.contains { $0.contains("permission denied to start WAL sender") })
        #expect(bench.log.filter { $0.contains("closing because: login failed (age") }.count == 2)
        // Others try at once: nothing is wrong with the pool.
        bench.login("S2")
        #expect(bench.state("B") == "replicating")
        bench.finish()
    }

    @Test func itKeepsItsPlaceWhileNobodyAnswers() {
        let bench = Bench()
        bench.connect("A", Self.logical)
        bench.fail("S1")
        #expect(bench.state("A") == "awaitingWelcome")
        bench.pass(.seconds(16))
        bench.login("S2")
        #expect(bench.state("A") == "replicating")
        bench.finish()
    }

    @Test func whoLeavesTakesTheLoginAlong() {
        let bench = Bench()
        bench.connect("A", Self.logical)
        bench.reach("S1")
        bench.ignore("S1")
        bench.end("A")
        #expect(bench.got("S1") == ["X", "closed"])
        bench.finish()
    }

    @Test func reconnectEndsItAtOnce() {
        let bench = Self.bench()
        bench.tell { $0.reconnect(nil, now: $1, into: &$2) }
        #expect(bench.got("A") == ["E(FATAL 08P01 database configuration changed)", "closed"])
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func pauseLetsItStandInLine() {
        let bench = Bench()
        bench.connect("A", Self.logical)
        bench.tell { $0.pause(nil, for: nil, now: $1, into: &$2) }
        #expect(bench.state("S1") == "gone")
        #expect(bench.state("A") == "awaitingWelcome")
        bench.tell { $0.resume(nil, now: $1, into: &$2) }
        bench.login("S2")
        #expect(bench.state("A") == "replicating")
        bench.finish()
    }

    @Test func killedFromTheConsole() {
        let bench = Self.bench()
        guard let client = bench.client("A") else { return }
        bench.tell { $0.kill(client, now: $1, into: &$2) }
        #expect(bench.state("S1") == "gone")
        #expect(bench.state("A") == "gone")
        bench.connect("B", Self.logical)
        bench.login("S2")
        guard let database = bench.board.database(named: "db") else { return }
        bench.tell { $0.kill(database, because: .databaseRemoved, now: $1, into: &$2) }
        #expect(bench.state("S2") == "gone")
        bench.finish()
    }

    @Test func aCommandCanBeCancelled() {
        let bench = Self.bench()
        let key = bench.key(of: "A")
        bench.dial("X")
        bench.say("X", cancelRequest(key))
        #expect(bench.got("X") == ["closed"])
        bench.say("A", query("START_REPLICATION 0/0"))
        bench.ignore("A", "S1")
        bench.dial("Y")
        bench.say("Y", cancelRequest(key))
        bench.reach("S2")
        #expect(bench.got("S2").first?.hasPrefix("cancel(") == true)
        bench.end("S2")
        #expect(bench.got("Y") == ["closed"])
        bench.say("S1", failure("57014", "canceled") + ready)
        #expect(bench.got("A") == ["E(ERROR 57014 canceled)", "Z(I)"])
        #expect(bench.state("A") == "replicating")
        bench.finish()
    }

    @Test func aServerOutOfStepIsClosed() {
        let bench = Self.bench()
        bench.say("S1", [0x21, 0, 0, 0, 4])
        #expect(bench.state("S1") == "gone")
        #expect(bench.state("A") == "gone")
        bench.finish()
    }
}
