import Config
import Primitives
import Testing

@testable import Engine

/// A server that breaks the protocol, with one slot: A is being answered, B is in line.
@Suite struct HostileServerTests {
    /// A's query runs on S1, B waits.
    private func bench(_ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in })
        -> Bench
    {
        let bench = Bench(delivery) {
            $0.database.poolSize = 1
            configure(&$0)
        }
        bench.connect("A")
        bench.login("S1")
        bench.connect("B")
        bench.say("A", query("a"))
        bench.say("B", query("b"))
        bench.ignore("A", "B", "S1")
        return bench
    }

    static let answer = ["T", "D(··a)", "C(SELECT 1)", "Z(I)"]
    static let outOfStep = ["E(FATAL 08P01 server conn crashed?)", "closed"]

    struct Extra: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: Bytes
        /// What A gets behind its answer.
        var got: [String] = []
        /// Whether the server may be used again.
        var isHarmless = false
        init(_ name: String, _ bytes: Bytes, got: [String] = [], isHarmless: Bool = false) {
            testDescription = name
            self.bytes = bytes
            self.got = got
            self.isHarmless = isHarmless
        }
    }

    static let extras: [Extra] = [
        Extra("ReadyForQuery", ready),
        Extra("a whole result", result("evil") + ready),
        Extra("an error", failure("XX000", "evil")),
        Extra("a goodbye", failure("57P01", "terminating connection", severity: "FATAL")),
        Extra("a notice", notice("hm"), got: ["N(NOTICE 00000 hm)"], isHarmless: true),
        Extra(
            "a report", parameterStatus("TimeZone", "UTC"), got: ["S(TimeZone·UTC)"], isHarmless: true),
        Extra("a notification", notification("x"), got: ["A(····x)"], isHarmless: true),
        Extra("half a header", [0x43, 0, 0, 0]),
        Extra("half a result", Bytes(complete("SELECT 1").dropLast(3))),
        Extra("an unknown message", message("!", "x")),
        Extra("an authentication request", authenticationOk),
        Extra("a key", backendKey(1, 2)),
        Extra("length 3", [0x43, 0, 0, 0, 3]),
        Extra("length 2 GiB", [0x43, 0x80, 0, 0, 0]),
        Extra("CopyBothResponse", message("W", "···")),
    ]

    /// Behind the ReadyForQuery, in one piece: A has its answer and lives, B is served by a server that is clean.
    @Test(arguments: extras)
    func behindTheAnswer(_ extra: Extra) {
        let bench = bench()
        bench.say("S1", result("a") + ready + extra.bytes)
        #expect(bench.got("A") == Self.answer + extra.got)
        #expect(bench.state("A") == "idle")
        if extra.isHarmless {
            #expect(bench.got("S1") == ["Q(b)"])
        } else {
            #expect(bench.state("S1") == "gone")
            bench.login("S2")
            #expect(bench.got("S2").last == "Q(b)")
        }
        #expect(bench.got("B").filter { !$0.hasPrefix("S(TimeZone") } == [])
        bench.finish()
    }

    /// The same while nobody has the server: it goes, or what it said is taken note of.
    @Test(arguments: extras, Delivery.allCases)
    func whileIdle(_ extra: Extra, _ delivery: Delivery) {
        let bench = Bench.withServer(delivery)
        bench.say("S1", extra.bytes)
        #expect(bench.got("A") == [])
        bench.say("A", query("a"))
        if extra.isHarmless {
            #expect(bench.got("S1") == ["Q(a)"])
        } else if bench.server("S1") == nil {
            bench.login("S2")
            #expect(bench.got("S2").last == "Q(a)")
        }
        bench.finish()
    }

    /// A client that keeps its server, for its session or its transaction, never takes what came behind one answer for
    /// the next: it hears of it before it asks again, or goes.
    @Test(arguments: extras, Delivery.allCases)
    func whileTheClientKeepsTheServer(_ extra: Extra, _ delivery: Delivery) {
        for (mode, status) in [(PoolMode.session, ready), (.transaction, readyInTransaction)] {
            let bench = Bench.withServer(delivery) { $0.global.poolMode = mode }
            bench.say("A", query("a"))
            bench.say("S1", result("a") + status + extra.bytes)
            let first = bench.got("A")
            #expect(first.prefix(3) == Self.answer.prefix(3))
            if extra.isHarmless { #expect(first.dropFirst(4) == extra.got[...]) }
            if first.last == "closed" {
                #expect(!extra.isHarmless)
            } else if bench.client("A") != nil {
                bench.say("A", query("b"))
                if bench.server("S1") != nil { bench.say("S1", result("b") + ready) }
                let second = bench.got("A")
                #expect(second.isEmpty || second.last == "closed" || second.prefix(2) == ["T", "D(··b)"])
                if !extra.isHarmless, second.last != "closed" {
                    #expect(first.count > 4 || second.isEmpty)
                }
            }
            bench.finish()
        }
    }

    struct Lie: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: Bytes
        /// What has reached A before it hears FATAL.
        var before: [String] = []
        init(_ name: String, _ bytes: Bytes, before: [String] = []) {
            testDescription = name
            self.bytes = bytes
            self.before = before
        }
    }

    static let lies: [Lie] = [
        Lie("a status nobody knows", result("a") + message("Z", "X"), before: Array(answer.dropLast())),
        Lie(
            "a long ReadyForQuery", result("a") + message("Z", "I···"), before: Array(answer.dropLast())),
        Lie("an empty ReadyForQuery", result("a") + message("Z"), before: Array(answer.dropLast())),
        Lie("a bare ReadyForQuery", ready),
        Lie("a result in the middle of copy in", copyInResponse + complete("COPY 1"), before: ["G"]),
        Lie("CopyBothResponse", message("W", "···")),
        Lie("an unknown message", message("!", "x")),
        Lie("an authentication request", authenticationOk),
        Lie("a key", backendKey(1, 2)),
        Lie("NegotiateProtocolVersion", message("v", "········")),
        Lie("ParseComplete", parseComplete),
        Lie("BindComplete", bindComplete),
        Lie("CloseComplete", closeComplete),
        Lie("NoData", noData),
        Lie("a function result", message("V", "····")),
        Lie("a report that is none", message("S", "x")),
        Lie("length 3", rowDescription + [0x44, 0, 0, 0, 3], before: ["T"]),
        Lie("length 0", [0x44, 0, 0, 0, 0]),
        Lie("length 4 GiB", [0x44, 0xFF, 0xFF, 0xFF, 0xFF]),
        Lie("a ReadyForQuery of 2 MiB", [0x5A, 0, 0x20, 0, 0]),
    ]

    /// Instead of an answer: A hears so, the server goes, B is served by another.
    @Test(arguments: lies, Delivery.allCases)
    func insteadOfTheAnswer(_ lie: Lie, _ delivery: Delivery) {
        let bench = bench(delivery)
        bench.say("S1", lie.bytes)
        #expect(bench.got("A") == lie.before + Self.outOfStep)
        #expect(bench.state("S1") == "gone")
        bench.login("S2")
        #expect(bench.got("S2").last == "Q(b)")
        #expect(bench.got("B") == [])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func anErrorWithoutAStateIsPassedOn(_ delivery: Delivery) {
        let bench = bench(delivery)
        bench.say("S1", message("E", "SERROR·Mno state··") + ready)
        #expect(bench.got("A") == ["E(ERROR ? no state)", "Z(I)"])
        #expect(bench.state("B") == "active S1")
        bench.finish()
    }

    /// It dies in the middle of a message: nothing of ours is written into it.
    @Test func dyingAtEveryByteOfAnAnswer() {
        let whole =
            result("a row that is long enough") + failure("XX000", String(repeating: "x", count: 300))
            + ready
        for count in 0..<whole.count {
            let bench = bench()
            bench.say("S1", Bytes(whole.prefix(count)))
            bench.end("S1")
            let sent = bench.sent["A"].map { Bytes($0.dropFirst(bench.greetingBytes)) } ?? []
            let texts = sent.messages(fromServer: true, afterFirstPacket: true)
            if texts.last == "E(FATAL 08P01 server conn crashed?)" {
                // only between messages
                #expect(!texts.contains { $0.hasPrefix("…") || $0.hasPrefix("?") })
            } else {
                #expect(sent == Bytes(whole.prefix(sent.count)))
            }
            #expect(bench.state("A") == "gone")
            #expect(bench.state("B") == "waiting")
            bench.login("S2")
            #expect(bench.got("S2").last == "Q(b)")
            bench.finish()
        }
    }

    @Test func aRowThatClaimsTwoGigabytes() {
        let bench = bench { $0.global.queryTimeout = .seconds(10) }
        bench.say("S1", [0x44, 0x7F, 0xFF, 0xFF, 0xF0] + Bytes(repeating: 0x61, count: 100_000))
        #expect(bench.state("A") == "active S1")
        bench.pass(.seconds(10))
        #expect(bench.got("A").last == "closed")
        #expect(bench.sent["A"]?.suffix(10) == ArraySlice(Bytes(repeating: 0x61, count: 10)))
        #expect(bench.state("S1") == "gone")
        bench.finish()
    }

    @Test func noticesAndReportsWithoutEnd() {
        let bench = bench()
        for number in 0..<2000 {
            bench.say("S1", notice("n\(number)") + parameterStatus("p\(number)", "v\(number)"))
            bench.ignore("A")
        }
        bench.say("S1", result("a") + ready)
        #expect(bench.got("A") == Self.answer)
        bench.finish()
    }

    // MARK: Logging in

    struct LoginLie: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: Bytes
        init(_ name: String, _ bytes: Bytes) {
            testDescription = name
            self.bytes = bytes
        }
    }

    static let loginLies: [LoginLie] = [
        LoginLie("ReadyForQuery at once", ready),
        LoginLie("rows", row("x")),
        LoginLie("an unknown request", message("R", "···\u{9}")),
        LoginLie("a short request", message("R", "·")),
        LoginLie("a short key", authenticationOk + message("K", "·······")),
        LoginLie("a long key", authenticationOk + message("K", Bytes(repeating: 1, count: 261))),
        LoginLie("a report that is none", authenticationOk + message("S", "x")),
        LoginLie("a transaction", authenticationOk + readyInTransaction),
        LoginLie("length 3", [0x52, 0, 0, 0, 3]),
        LoginLie("length 2 MiB", [0x52, 0, 0x20, 0, 0]),
        LoginLie("an error without a state", message("E", "SFATAL·Mno··")),
        LoginLie("an error without anything", message("E")),
        LoginLie("not PostgreSQL", Bytes("SSH-2.0-OpenSSH_9.9\r\n".utf8)),
    ]

    @Test(arguments: loginLies, Delivery.allCases)
    func whileLoggingIn(_ lie: LoginLie, _ delivery: Delivery) {
        let bench = Bench(delivery)
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", lie.bytes)
        #expect(bench.state("S1") == "gone")
        #expect(bench.got("A").first?.hasPrefix("E(FATAL") == true)
        bench.finish()
    }

    @Test func noKeyIsNoObstacle() {
        let bench = Bench()
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", authenticationOk + ready)
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test func manyReportsAtLoginAreBounded() {
        let bench = Bench()
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", authenticationOk)
        for number in 0..<500 { bench.say("S1", parameterStatus("p\(number)", "v")) }
        bench.say("S1", ready)
        #expect(bench.got("A").count < 150)
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func dyingAnywhereInALogin(_ delivery: Delivery) {
        let login = authenticationOk + parameterStatus("a", "b") + backendKey(1, 2) + ready
        for count in 0..<login.count {
            let bench = Bench(delivery)
            bench.connect("A")
            bench.reach("S1")
            bench.say("S1", Bytes(login.prefix(count)))
            bench.end("S1")
            #expect(bench.state("A") == "awaitingWelcome")
            #expect(bench.got("A") == [])
            bench.finish()
        }
    }
}

extension Bench {
    /// Bytes of a greeting with the usual parameters.
    fileprivate var greetingBytes: Int {
        let report = [
            ("server_version", "17.0"), ("client_encoding", "UTF8"), ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("standard_conforming_strings", "on"), ("application_name", ""),
        ]
        return authenticationOk.count + report.reduce(0) { $0 + parameterStatus($1.0, $1.1).count } + 13
            + ready.count
    }
}
