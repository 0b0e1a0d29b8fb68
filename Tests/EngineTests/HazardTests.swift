import Config
import Pool
import Primitives
import Session
import Testing

@testable import Engine

/// Everything at once, at random: bytes that are cut, spoilt or made up, operators who change their minds, links that
/// break. Nothing traps, nothing is left behind, and no message is ever spliced into another.
@Suite struct HazardTests {
    private static let requests = [
        query("q"), query("begin"), query("deallocate a"), query("discard all"),
        parse("a", "1") + bind("a") + execute + sync, parse("a", "1") + flush, bind("a") + execute + flush,
        parse("b", "2") + describe("b") + closeStatement("b"), parse("", "3") + bind("") + execute + sync,
        bind("") + execute + sync, describe("a") + parse("c", "1") + sync, closeStatement("a") + sync, flush,
        sync,
        copyData("x"), copyDone, copyFail, message("F", "····"), query(String(repeating: "x", count: 20_000)),
        parse("", String(repeating: "y", count: 300_000)) + sync, message("C", "P·") + sync,
    ]
    private static let replies = [
        result("r") + ready, complete("BEGIN") + readyInTransaction, complete("X") + ready, parseComplete,
        bindComplete, closeComplete, parseComplete + bindComplete + complete("X") + ready, ready,
        failure("XX000", "x"), failure("XX000", "x") + ready,
        failure("22P02", String(repeating: "z", count: 400)),
        notice("n"), notification("n"), parameterStatus("application_name", "z"), parameterStatus("new", "v"),
        complete("DISCARD ALL") + ready, emptyQuery + ready, rowDescription, row("half"), copyInResponse,
        copyOutResponse, copyDone, message("s"), noData, parameterDescription, message("V", "····") + ready,
        readyInTransaction, readyInFailedTransaction,
    ]

    private func spoilt(_ bytes: Bytes, _ random: inout Random) -> Bytes {
        var bytes = bytes
        switch random.below(20) {
        case 0: bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
        case 1: bytes = Bytes(bytes.prefix(random.below(bytes.count)))
        case 2: bytes = random.bytes(1 + random.below(30))
        default: break
        }
        return bytes
    }

    /// One thing that somebody does to the switchboard.
    private func disturb(_ bench: Bench, _ random: inout Random) {
        let database = bench.board.database(named: "db")
        let choice = random.below(10)
        let names = bench.liveNames
        let someone = names.isEmpty ? nil : bench.client(names[random.below(names.count)])
        var setup = Setup()
        setup.database.poolSize = 1 + random.below(4)
        setup.global.poolMode = [.session, .transaction, .statement][random.below(3)]
        setup.global.maxPreparedStatements = random.below(3)
        setup.database.hosts = random.below(3) == 0 ? ["10.0.0.2"] : ["10.0.0.1"]
        let snapshot = setup.snapshot
        bench.tell { board, now, actions in
            switch choice {
            case 0: board.pause(nil, for: nil, now: now, into: &actions)
            case 1: board.pause(database, for: nil, now: now, into: &actions)
            case 2...4:
                board.resume(nil, now: now, into: &actions)
                board.resume(database, now: now, into: &actions)
            case 5: board.reconnect(nil, now: now, into: &actions)
            case 6: if let someone { board.kill(someone, now: now, into: &actions) }
            case 7: board.reloaded(snapshot, for: nil, now: now, into: &actions)
            case 8:
                if let database {
                    board.kill(database, because: .killed, now: now, into: &actions)
                }
            default: break
            }
        }
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func nothingTraps(_ seed: UInt64) {
        var random = Random(seed: seed)
        let bench = Bench([.whole, .random, .threes][random.below(3)]) {
            $0.database.poolSize = 1 + random.below(3)
            $0.database.minPoolSize = random.below(2)
            $0.global.poolMode = [.session, .transaction, .transaction, .statement][random.below(4)]
            $0.global.maxPreparedStatements = random.below(4)
            $0.global.queryTimeout = .seconds(random.below(3) * 20)
            $0.global.idleTransactionTimeout = .seconds(random.below(2) * 15)
            $0.global.clientIdleTimeout = .seconds(random.below(2) * 60)
            $0.global.serverIdleTimeout = .seconds(random.below(2) * 30)
            $0.global.serverLifetime = .seconds(20 + random.below(3) * 200)
            $0.global.serverResetQueryAlways = random.below(3) == 0
            $0.global.reservePoolSize = random.below(2)
            $0.database.maxDbConnections = random.below(2) * 3
            if random.below(3) == 0 { $0.database.connectQuery = "set x" }
        }
        var number = 0
        for _ in 0..<250 {
            let names = bench.liveNames
            let name = names.isEmpty ? "" : names[random.below(names.count)]
            switch random.below(14) {
            case 0:
                number += 1
                let wishes = [[], [("application_name", "a")], [("datestyle", "b")]][random.below(3)]
                bench.connect("C\(number)", user: ["u", "v"][random.below(2)], wishes)
            case 1..<5 where name.hasPrefix("C"):
                bench.say(name, spoilt(Self.requests[random.below(Self.requests.count)], &random))
            case 5..<9 where name.hasPrefix("S"):
                switch bench.state(name) {
                case "cancelling": if random.below(3) == 0 { bench.fail(name) } else { bench.reach(name) }
                case "opening": if random.below(8) == 0 { bench.fail(name) } else { bench.login(name) }
                default: bench.say(name, spoilt(Self.replies[random.below(Self.replies.count)], &random))
                }
            case 9 where !name.isEmpty && random.below(3) == 0: bench.end(name, .failed(104))
            case 10 where name.hasPrefix("C"):
                number += 1
                let key = bench.key(of: name)
                bench.dial("C\(number)")
                bench.say("C\(number)", cancelRequest(key))
            case 11 where !name.isEmpty: bench.congest(name)
            case 12 where !name.isEmpty: bench.drain(name)
            case 13: disturb(bench, &random)
            default: bench.pass(.milliseconds(random.below(3000)))
            }
            for pool in bench.board.poolIDs {
                let lists = bench.board.pools[pool].lists
                let isIdleFit = lists[.idle].count == 0 || bench.board.mode == .active
                #expect(isIdleFit)
            }
        }
        bench.finish()
    }
}
