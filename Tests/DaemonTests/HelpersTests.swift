import Auth
import CLinux
import Crypto
import Engine
import Primitives
import Testing

@testable import Daemon

/// What the threads beside a worker do, and that the slow ones keep no others waiting.
@Suite struct HelpersTests {
    /// Waits until so many jobs are done, not longer than ten seconds.
    private static func results(_ helpers: Helpers, _ count: Int) -> [UInt64: String] {
        var found: [UInt64: String] = [:]
        for _ in 0..<10_000 where found.count < count {
            for (number, result) in helpers.takeResults() {
                found[number] =
                    switch result {
                    case .keys(let keys): keys.clientKey.base64.lossyText
                    case .text(let text): text.lossyText
                    case .allowed: "allowed"
                    case .failed(let why): "failed: " + why.lossyText
                    }
            }
            if found.count < count { usleep(1000) }
        }
        return found
    }

    private static func job(_ number: UInt64, _ job: SideJob) -> NumberedSideJob {
        NumberedSideJob(number: number, job: job)
    }

    /// Four programs hang; of those behind them, those that were taken back are not run.
    @Test func whatIsTakenBackIsNotDone() throws {
        let helpers = try #require(Helpers())
        helpers.give((1...4).map { Self.job($0, .run("sleep 0.5", limit: .seconds(5))) })
        helpers.give((5...8).map { Self.job($0, .run("echo done", limit: .seconds(5))) })
        helpers.give([Self.job(5, .withdraw), Self.job(7, .withdraw), Self.job(99, .withdraw)])
        #expect(Self.results(helpers, 6).keys.sorted() == [1, 2, 3, 4, 6, 8])
        helpers.give([Self.job(9, .run("echo last", limit: .seconds(5)))])
        #expect(Self.results(helpers, 1) == [9: "last\n"])
    }

    @Test func everyJob() throws {
        let helpers = try #require(Helpers())
        let missing: ByteString = "/nonexistent/file"
        helpers.give([
            Self.job(1, .run("echo token", limit: .seconds(5))),
            Self.job(2, .run("echo no; exit 3", limit: .seconds(5))),
            Self.job(3, .run("kill -9 $$", limit: .seconds(5))),
            Self.job(4, .run("sleep 60 & sleep 60", limit: .milliseconds(200))),
            Self.job(5, .run("head -c 100000 /dev/zero", limit: .seconds(5))),
            Self.job(6, .run("nosuchprogram 2>/dev/null", limit: .seconds(5))),
            Self.job(7, .run("cat", limit: .seconds(5))),
            Self.job(8, .read(missing)),
            Self.job(9, .systemUser(0)),
            Self.job(10, .systemUser(4_000_000_000)),
            Self.job(11, .run("printf x; exec >&-; sleep 60", limit: .milliseconds(200))),
        ])
        let results = Self.results(helpers, 11)
        #expect(results[1] == "token\n")
        #expect(results[2] == "failed: the program ended with exit status 3")
        #expect(results[3] == "failed: the program ended with signal 9")
        #expect(results[4] == "failed: the program took too long")
        #expect(results[5] == "failed: the program printed too much")
        #expect(results[6] == "failed: the program ended with exit status 127")
        #expect(results[7] == "")
        #expect(results[8] == "failed: No such file or directory")
        #expect(results[9] == "root")
        #expect(results[10] == "failed: user id 4000000000 has no name")
        #expect(results[11] == "failed: the program took too long")
    }

    @Test func programsThatHangKeepNobodyFromItsKeys() throws {
        let helpers = try #require(Helpers())
        helpers.give((0..<20).map { Self.job($0, .run("sleep 1", limit: .seconds(5))) })
        let secret = Secret("secret" as ByteString)
        helpers.give((100..<120).map { Self.job($0, .derive(secret, salt: "salt", iterations: 1000)) })
        let results = Self.results(helpers, 20)
        #expect(results.keys.filter { $0 >= 100 }.count >= 16)
        let keys = secret.withView { ScramKeys.derive(password: $0, salt: "salt", iterations: 1000) }
        #expect(results[100] == keys.clientKey.base64.lossyText)
    }
}
