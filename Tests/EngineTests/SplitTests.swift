import Config
import Primitives
import Testing

@testable import Engine

/// Where the stream is cut does not matter (I4): each conversation is held once for every place of every turn, cut
/// there, and every link is sent the same bytes.
@Suite struct SplitTests {
    struct Conversation: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var configure: @Sendable (inout Setup) -> Void = { _ in }
        var turns: [(name: String, bytes: Bytes)]
        init(
            _ name: String, _ turns: [(String, Bytes)],
            configure: @escaping @Sendable (inout Setup) -> Void = { _ in }
        ) {
            testDescription = name
            self.configure = configure
            self.turns = turns.map { (name: $0.0, bytes: $0.1) }
        }

        /// Everything every link was sent, the cut in this turn at this place.
        func hold(cutting turn: Int, at place: Int) -> [String: Bytes] {
            let bench = Bench(.whole, configure)
            bench.dial("A")
            bench.say("A", startup([("user", "u"), ("database", "db")]))
            bench.login("S1")
            bench.dial("B")
            bench.say("B", startup([("user", "u"), ("database", "db"), ("application_name", "b")]))
            for (index, (name, bytes)) in turns.enumerated() {
                if name.hasPrefix("open ") {
                    bench.login(String(name.dropFirst(5)))
                } else if index == turn {
                    bench.say(name, Bytes(bytes.prefix(place)))
                    if bench.liveNames.contains(name) { bench.say(name, Bytes(bytes.dropFirst(place))) }
                } else if bench.liveNames.contains(name) {
                    bench.say(name, bytes)
                }
            }
            return bench.sent
        }
    }

    static let conversations: [Conversation] = [
        Conversation(
            "queries and errors",
            [
                ("A", query("select 1") + query("bad") + query("")),
                (
                    "S1",
                    notice("hm") + result("1") + ready + failure("42601", String(repeating: "x", count: 280))
                        + ready + emptyQuery + ready
                ),
            ]),
        Conversation(
            "a transaction",
            [
                ("A", query("begin")), ("S1", complete("BEGIN") + readyInTransaction),
                ("A", query("set x") + query("commit")),
                (
                    "S1",
                    parameterStatus("application_name", "x") + complete("SET") + readyInTransaction
                        + complete("COMMIT") + ready
                ),
            ]),
        Conversation(
            "two clients with different parameters",
            [
                ("A", query("a")), ("S1", result("a") + ready), ("B", query("b") + query("b2")),
                (
                    "S1",
                    complete("SET") + parameterStatus("application_name", "b") + ready + result("b") + ready
                        + result("b2") + ready
                ),
                ("A", query("a2")),
                (
                    "S1",
                    complete("SET") + parameterStatus("application_name", "") + ready + result("a2") + ready
                ),
            ]),
        Conversation(
            "prepared statements",
            [
                ("A", parse("x", "1") + describe("x") + sync + bind("x") + execute + sync),
                ("S1", parseComplete + parameterDescription + rowDescription + ready),
                ("S1", bindComplete + row("1") + complete("SELECT 1") + ready),
                ("B", parse("y", "1") + bind("y") + execute + closeStatement("y") + sync),
                ("S1", complete("SET") + parameterStatus("application_name", "b") + ready),
                ("S1", bindComplete + row("2") + complete("SELECT 1") + ready),
                ("A", describe("x") + parse("z", "1") + sync),
                (
                    "S1",
                    complete("SET") + parameterStatus("application_name", "") + ready + parameterDescription
                        + rowDescription
                ),
                ("S1", ready),
                ("A", describe("x") + parse("x", "taken") + bind("x") + sync),
                ("S1", parameterDescription + rowDescription),
                ("S1", failure("26000", "none") + ready),
                ("A", query("deallocate x") + query("deallocate \"z\"")),
            ]),
        Conversation(
            "eviction",
            [
                ("A", parse("a", "1") + bind("a") + execute + sync),
                ("S1", parseComplete + bindComplete + complete("X") + ready),
                ("A", parse("b", "2") + bind("b") + execute + sync),
                ("S1", closeComplete + parseComplete + bindComplete + complete("X") + ready),
                // Sent any sooner, what it needs would depend on how much of the answer has come.
                ("A", bind("a") + execute + sync),
                ("S1", closeComplete + parseComplete + bindComplete + complete("X") + ready),
            ]
        ) { $0.global.maxPreparedStatements = 1 },
        Conversation(
            "the unnamed statement",
            [
                ("A", parse("", "1") + bind("") + execute + sync),
                ("S1", parseComplete + bindComplete + complete("X") + ready),
                ("B", bind("") + execute + sync),
                (
                    "S1",
                    complete("SET") + parameterStatus("application_name", "b") + ready
                        + failure("26000", "none") + ready
                ),
                ("A", bind("") + execute + sync),
                (
                    "S1",
                    complete("SET") + parameterStatus("application_name", "") + ready + parseComplete
                        + bindComplete
                        + complete("X") + ready
                ),
            ]),
        Conversation(
            "copy in",
            [
                ("A", parse("", "copy") + bind("") + execute + sync + copyData("1") + copyDone + sync),
                ("S1", parseComplete + bindComplete + copyInResponse + complete("COPY 1") + ready),
                ("A", query("copy")), ("S1", copyInResponse),
                ("A", copyData("1") + copyFail + query("next")),
                ("S1", failure("57014", "failed") + ready + result("1") + ready),
            ]),
        Conversation(
            "copy out",
            [
                ("A", query("copy") + sync),
                (
                    "S1",
                    copyOutResponse + copyData("1") + copyData("2") + copyDone + complete("COPY 2") + ready
                        + ready
                ),
            ]),
        Conversation(
            "a session with remarks",
            [
                ("A", query("listen x")),
                (
                    "S1",
                    complete("LISTEN") + ready + notification("x") + notice("hm")
                        + parameterStatus("TimeZone", "GMT")
                ),
                ("A", query("a")), ("S1", notification("x") + result("a") + ready + notification("x")),
                ("A", terminate),
                ("S1", complete("DISCARD ALL") + parameterStatus("TimeZone", "UTC") + ready),
            ]
        ) { $0.global.poolMode = .session },
        Conversation(
            "a server that breaks the protocol",
            [
                ("A", query("a")), ("S1", rowDescription + row("1") + parseComplete), ("B", query("b")),
                ("open S2", []),
                (
                    "S2",
                    complete("SET") + parameterStatus("application_name", "b") + ready + result("b") + ready
                ),
            ]),
        Conversation(
            "a client that breaks the protocol",
            [
                ("A", query("a") + message("!", "x")), ("B", query("b")), ("open S2", []),
                (
                    "S2",
                    complete("SET") + parameterStatus("application_name", "b") + ready + result("b") + ready
                ),
            ]),
    ]

    @Test(arguments: conversations)
    func everyPlace(_ given: Conversation) {
        let whole = given.hold(cutting: -1, at: 0)
        #expect(whole.count == 3 + given.turns.count { $0.name.hasPrefix("open ") })
        for (turn, (name, bytes)) in given.turns.enumerated() where bytes.count > 1 {
            for place in 1..<bytes.count {
                let cut = given.hold(cutting: turn, at: place)
                for link in whole.keys.sorted() where cut[link] != whole[link] {
                    Issue.record(
                        "\(link) was sent other bytes when turn \(turn) of \(name) is cut at \(place)")
                }
                #expect(cut.count == whole.count)
            }
        }
    }
}
