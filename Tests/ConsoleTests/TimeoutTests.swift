import Config
import Engine
import Primitives
import Testing

@testable import Console

/// Commands that wait and may not wait for ever.
@Suite struct TimeoutTests {
    private func stage() -> Stage { Stage({ $0.poolMode = .transaction }) }

    @Test(arguments: ["PAUSE TIMEOUT 5", "pause app timeout '5s'", "PAUSE \"app\" TIMEOUT 5;"])
    func aPauseGivesUpAndIsLifted(_ text: String) {
        let stage = stage()
        let pair = stage.busy()
        let admin = stage.login("admin")
        stage.send(admin, Bytes.query(text) + Bytes.query("SHOW VERSION"))
        stage.pass(.milliseconds(4900))
        #expect(stage.replies(admin).isEmpty)
        #expect(stage.query(stage.login("admin"), "SHOW POOLS").tag == "SHOW")
        stage.pass(.milliseconds(200))
        let reply = Reply(stage.replies(admin))
        #expect(reply.kinds == "EZTDCZ")
        #expect(reply.error?["C"] == "57014" && reply.errorText == "PAUSE has waited for 5s and gives up")
        let number = stage.number(of: pair.client)
        #expect(
            reply.error?["D"]
                == "server app/alice with process 9 works for client \(number), alice@127.0.0.1:5555, "
                + "whose last request was 5s ago")
        stage.commit(pair)
        _ = stage.replies(pair.client)
        stage.send(pair.client, Bytes.query("SELECT 1"))
        #expect(!stage.take(.server(pair.server)).isEmpty)
    }

    @Test func whatIsDoneInTimeIsDone() {
        let stage = stage()
        let pair = stage.busy()
        let admin = stage.login("admin")
        stage.send(admin, Bytes.query("PAUSE TIMEOUT 5"))
        stage.pass(.seconds(4))
        stage.commit(pair)
        #expect(Reply(stage.replies(admin)).tag == "PAUSE")
        stage.pass(.seconds(10))
        #expect(stage.replies(admin).isEmpty)
        #expect(stage.query(admin, "PAUSE").errorText == "already suspended/paused")
        #expect(stage.query(admin, "RESUME").tag == "RESUME")
        #expect(stage.query(admin, "PAUSE TIMEOUT 0").tag == "PAUSE")
    }

    @Test func anotherPauseOfTheSameKindStays() {
        let stage = stage()
        let pair = stage.busy()
        let (first, second) = (stage.login("admin"), stage.login("admin"))
        stage.send(first, Bytes.query("PAUSE app"))
        stage.send(second, Bytes.query("PAUSE app TIMEOUT 1"))
        stage.pass(.seconds(2))
        #expect(Reply(stage.replies(second)).error?["C"] == "57014")
        #expect(stage.replies(first).isEmpty)
        stage.commit(pair)
        #expect(Reply(stage.replies(first)).tag == "PAUSE")
    }

    @Test func waitCloseGivesUp() {
        let stage = stage()
        let pair = stage.busy()
        let admin = stage.login("admin")
        _ = stage.query(admin, "RECONNECT")
        stage.send(
            admin,
            Bytes.parse("", "WAIT_CLOSE app TIMEOUT 0.5") + Bytes.bind("", "") + Bytes.execute("")
                + Bytes.sync)
        stage.pass(.seconds(1))
        let reply = Reply(stage.replies(admin))
        #expect(reply.kinds == "12EZ" && reply.error?["C"] == "57014")
        #expect(reply.error?["D"]?.hasPrefix("server app/alice with process 9 works for client") == true)
        stage.commit(pair)
        #expect(stage.closed.contains(.server(pair.server)))
    }

    @Test func aShutdownSaysWhatItWaitsForAndGoesOn() {
        for mode in ["WAIT_FOR_SERVERS", "WAIT_FOR_CLIENTS"] {
            let stage = stage()
            let pair = stage.busy()
            let admin = stage.login("admin")
            stage.send(admin, Bytes.query("SHUTDOWN \(mode) TIMEOUT 3"))
            stage.pass(.seconds(2))
            #expect(stage.replies(admin).isEmpty && stage.stoppedListening)
            stage.pass(.seconds(2))
            let reply = Reply(stage.replies(admin))
            #expect(reply.error?["C"] == "57014")
            #expect(
                reply.error?["D"]?.contains("client \(stage.number(of: pair.client)), alice@127.0.0.1:5555")
                    == true)
            #expect(reply.error?["D"]?.contains("admin@") == false)
            #expect(!stage.isExiting)
            stage.commit(pair)
            stage.leave(pair.client)
            stage.leave(admin)
            #expect(stage.isExiting)
        }
    }

    @Test func whoWaitsForTheShutdownIsNotWaitedFor() {
        let stage = stage()
        let pair = stage.busy()
        let admin = stage.login("admin")
        stage.send(admin, Bytes.query("SHUTDOWN WAIT_FOR_CLIENTS TIMEOUT 60"))
        stage.commit(pair)
        #expect(!stage.isExiting)
        stage.leave(pair.client)
        #expect(stage.isExiting)
    }

    @Test func whoLeavesWhileWaitingIsForgotten() {
        let stage = stage()
        let pair = stage.busy()
        let admin = stage.login("admin")
        stage.send(admin, Bytes.query("PAUSE app TIMEOUT 1"))
        stage.leave(admin)
        stage.pass(.seconds(5))
        #expect(stage.query(stage.login("admin"), "SHOW POOLS").tag == "SHOW")
        _ = pair
    }

    @Test(arguments: [
        "PAUSE TIMEOUT soon", "PAUSE app TIMEOUT", "PAUSE app app TIMEOUT 5", "RELOAD TIMEOUT 5",
        "KILL app TIMEOUT 5",
        "PAUSE TIMEOUT -1", "SHUTDOWN NOW TIMEOUT 1", "PAUSE 5 TIMEOUT 5",
    ])
    func nonsense(_ text: String) {
        let stage = Stage()
        #expect(
            stage.query(stage.login("admin"), text).errorText == "invalid command '\(text)', use SHOW HELP;")
    }
}
