import Config
import Primitives
import Session
import Testing

@testable import Engine

/// Cancel requests between peers: each key tells whose it is, and requests find their way.
@Suite struct PeersTests {
    /// Number 258 among peers 2 and 513; A's query runs on S1.
    private static func bench(
        _ delivery: Delivery = .whole, peers: [UInt16] = [2, 513], poolSize: Int? = nil,
        _ configure: (inout GlobalSettings) -> Void = { _ in }
    ) -> Bench {
        var setup = Setup()
        setup.global.peerID = 258
        configure(&setup.global)
        let entries = peers.map { id in
            var entry = PeerEntry(id: id, host: ByteString("10.9.9.\(id % 256)"))
            entry.port = 6000
            entry.poolSize = poolSize
            return entry
        }
        let snapshot = Snapshot(
            global: setup.global, databases: [setup.database], peers: entries, secrets: setup.secrets)
        let bench = Bench(delivery, snapshot: snapshot, helpers: false)
        bench.connect("A")
        bench.login("S1")
        bench.say("A", query("select pg_sleep(1)"))
        bench.ignore("A", "S1")
        return bench
    }

    /// A key of peer 513, 0x0201.
    private static let foreign: Bytes = [0x11, 0x01, 0x02, 0x33, 0x44, 0x55, 0x66, 0x77]

    @Test func ourKeysCarryOurNumber() {
        let bench = Self.bench()
        let key = bench.key(of: "A")
        #expect(key.count == 8)
        #expect(key[1] == 0x02 && key[2] == 0x01)
        #expect(key[7] & 3 == 3)
        bench.finish()
    }

    @Test func withoutNumberNothingChanges() {
        let bench = Self.bench { $0.peerID = 0 }
        bench.dial("X")
        bench.say("X", cancelRequest(Self.foreign))
        #expect(bench.state("X") == "gone")
        #expect(bench.server("S2") == nil)
        bench.finish()
    }

    @Test(arguments: [0, 1, 2, 3] as [UInt8])
    func ourOwnAreServedHoweverTheyCame(_ hops: UInt8) {
        let bench = Self.bench()
        var key = bench.key(of: "A")
        key[7] = key[7] & 0xFC | hops
        bench.dial("X")
        bench.say("X", cancelRequest(key))
        #expect(bench.endpoints["S2"]?.host == "10.0.0.1")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func othersArePassedOn(_ delivery: Delivery) {
        let bench = Self.bench(delivery)
        bench.dial("X")
        bench.say("X", cancelRequest(Self.foreign))
        #expect(bench.endpoints["S2"]?.host == "10.9.9.1")
        #expect(bench.endpoints["S2"]?.port == 6000)
        #expect(bench.board.peerPools.map { [$0.peer, $0.waitingRequests, $0.opening] } == [[513, 1, 1]])
        bench.reach("S2")
        #expect(bench.got("S2") == ["cancel(\\x11\\x1\\x23DUfv)"])
        #expect(
            bench.board.peerPools.map { [$0.peer, $0.activeRequests, $0.activeCancels] } == [[513, 1, 1]])
        #expect(bench.state("X") == "cancelRequest")
        bench.end("S2")
        #expect(bench.got("X") == ["closed"])
        #expect(bench.board.peerPools.map(\.activeCancels) == [0])
        bench.finish()
    }

    @Test func hopsRunOut() {
        let bench = Self.bench()
        var key = Self.foreign
        key[7] = 0x74
        bench.dial("X")
        bench.say("X", cancelRequest(key))
        #expect(bench.state("X") == "gone")
        #expect(bench.server("S2") == nil)
        #expect(bench.log.contains { $0.contains("its TTL was exhausted") })
        bench.finish()
    }

    @Test func unknownPeersAreNoted() {
        let bench = Self.bench(peers: [2])
        bench.dial("X")
        bench.say("X", cancelRequest(Self.foreign))
        #expect(bench.state("X") == "gone")
        #expect(bench.log.contains { $0.contains("could not find peer to forward request to") })
        bench.finish()
    }

    @Test func aPeerThatCannotBeReached() {
        let bench = Self.bench()
        bench.dial("X")
        bench.say("X", cancelRequest(Self.foreign))
        bench.fail("S2")
        #expect(bench.got("X") == ["closed"])
        // Nothing of it is held against our own servers.
        bench.connect("B")
        bench.say("B", query("select 2"))
        #expect(bench.server("S3") != nil)
        bench.finish()
    }

    @Test func aPeerThatSaysNothing() {
        let bench = Self.bench {
            $0.cancelWaitTimeout = .seconds(10)
            $0.serverConnectTimeout = .seconds(15)
        }
        bench.dial("X")
        bench.say("X", cancelRequest(Self.foreign))
        bench.reach("S2")
        bench.pass(.seconds(11))
        #expect(bench.state("X") == "gone")
        bench.pass(.seconds(5))
        #expect(bench.state("S2") == "gone")
        bench.finish()
    }

    @Test func theSizeOfAPeerHolds() {
        let bench = Self.bench(poolSize: 1)
        for asker in ["X", "Y"] {
            bench.dial(asker)
            bench.say(asker, cancelRequest(Self.foreign))
        }
        #expect(bench.server("S2") != nil)
        #expect(bench.server("S3") == nil)
        #expect(bench.board.peerPools.map(\.waitingRequests) == [2])
        bench.reach("S2")
        bench.end("S2")
        #expect(bench.state("X") == "gone")
        bench.reach("S3")
        bench.end("S3")
        #expect(bench.state("Y") == "gone")
        bench.finish()
    }

    @Test func longKeysAreNotGivenToThose() {
        let bench = Self.bench()
        bench.dial("B")
        bench.say("B", startup([("user", "u"), ("database", "db")], version: 3 << 16 | 2))
        #expect(bench.key(of: "B").count == 8)
        bench.finish()
    }
}
