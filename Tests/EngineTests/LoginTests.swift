import Auth
import Config
import Crypto
import Primitives
import Session
import Testing

@testable import Engine

/// From the first byte of a client to its first ReadyForQuery.
@Suite struct LoginTests {
    private static let report = [
        "R", "S(server_version·17.0)", "S(client_encoding·UTF8)", "S(DateStyle·ISO, MDY)",
        "S(TimeZone·UTC)",
        "S(standard_conforming_strings·on)", "S(application_name)",
    ]

    @Test(arguments: Delivery.allCases)
    func trust(_ delivery: Delivery) {
        let bench = Bench(delivery)
        bench.connect("A")
        #expect(bench.got("A") == [])
        bench.login("S1")
        let got = bench.got("A")
        #expect(Array(got.prefix(7)) == Self.report)
        #expect(got.count == 9)
        #expect(got.last == "Z(I)")
        #expect(bench.got("S1") == ["startup(user·u·database·db)"])
        // the second client needs no server
        bench.connect("B", [("application_name", "me"), ("client_encoding", "LATIN1")])
        let second = bench.got("B")
        #expect(second.contains("S(application_name·me)"))
        #expect(second.contains("S(client_encoding·LATIN1)"))
        #expect(second.last == "Z(I)")
        #expect(bench.got("S1") == [])
        bench.finish()
    }

    @Test func keysAreAllDifferentAndNotTheServers() {
        let bench = Bench.withServer()
        for name in ["B", "C", "D"] { bench.connect(name) }
        let keys = Set(["A", "B", "C", "D"].map { bench.key(of: $0) })
        #expect(keys.count == 4)
        #expect(keys.allSatisfy { $0.count == 8 && $0.prefix(4) != [0, 0, 0, 1] })
        bench.finish()
    }

    @Test func protocol32HasALongKey() {
        let bench = Bench.withServer()
        bench.dial("B")
        bench.say("B", startup([("user", "u"), ("database", "db")], version: 3 << 16 | 2))
        #expect(bench.key(of: "B").count == 36)
        #expect(bench.got("B").first == "R")
        bench.dial("C")
        bench.say(
            "C", startup([("user", "u"), ("database", "db"), ("_pq_.x", "y")], version: 3 << 16 | 9999))
        #expect(bench.got("C").first == "v(·\\x3·\\x2···\\x1_pq_.x)")
        bench.finish()
    }

    /// Nothing that is refused reaches a server, and the text is PgBouncer's.
    struct Refused: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: Bytes
        var got: [String]
        init(_ name: String, _ bytes: Bytes, _ text: String, before: [String] = []) {
            testDescription = name
            self.bytes = bytes
            got = before + ["E(FATAL 08P01 \(text))", "closed"]
        }
    }

    static let refused: [Refused] = [
        Refused("no user", startup([("database", "db")]), "no username supplied"),
        Refused("empty user", startup([("user", "")]), "no username supplied"),
        Refused(
            "unknown database", startup([("user", "u"), ("database", "nope")]), "no such database: nope"),
        Refused("no database means the user's", startup([("user", "u")]), "no such database: u"),
        Refused(
            "unknown parameter", startup([("user", "u"), ("foo", "bar")]),
            "unsupported startup parameter: foo"),
        Refused(
            "unknown option", startup([("user", "u"), ("options", "-c foo=bar")]),
            "unsupported startup parameter in options: foo"),
        Refused(
            "options that are none", startup([("user", "u"), ("options", "-x")]),
            "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed"),
        Refused(
            "replication", startup([("user", "u"), ("replication", "maybe")]),
            "invalid value for startup parameter replication: maybe"),
        Refused(
            "old protocol",
            bytes {
                $0.append(uint32: 9)
                $0.append(uint32: 2 << 16)
                $0.append(0)
            }, "old V2 protocol not supported"),
        Refused(
            "protocol 4",
            bytes {
                $0.append(uint32: 9)
                $0.append(uint32: 4 << 16)
            }, "bad packet header: '0000000900040000'"),
        Refused(
            "no terminator",
            bytes {
                $0.append(uint32: 8)
                $0.append(uint32: 3 << 16)
            }, "invalid startup packet layout: expected terminator as last byte"),
        Refused(
            "long user", startup([("user", String(repeating: "x", count: 128)), ("database", "db")]),
            "username too long"),
        Refused("password first", password("x"), "client password pkt before startup packet"),
        Refused(
            "console, not an admin", startup([("user", "u"), ("database", "pgbouncer")]), "not allowed"),
    ]

    @Test(arguments: refused, Delivery.allCases)
    func refusals(_ given: Refused, _ delivery: Delivery) {
        let bench = Bench(delivery)
        bench.dial("A")
        bench.say("A", given.bytes)
        #expect(bench.got("A") == given.got)
        #expect(bench.liveNames == [])
        bench.finish()
    }

    @Test(arguments: ["GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x", "Q\0\0\0\u{5}\0"])
    func strangersAreDroppedAtTheFirstByte(_ text: String) {
        let bench = Bench()
        bench.dial("A")
        #expect(bench.say("A", Bytes(text.utf8)) == ["drop A"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func encryptionIsDeclinedOnceEach(_ delivery: Delivery) {
        let bench = Bench(delivery)
        bench.dial("A")
        bench.say("A", sslRequest)
        #expect(bench.sent["A"] == [0x4E])
        bench.say("A", gssRequest)
        #expect(bench.sent["A"] == [0x4E, 0x4E])
        bench.say("A", startup([("user", "u"), ("database", "db")]))
        #expect(bench.state("A") == "awaitingWelcome")
        bench.finish()
        let again = Bench(delivery)
        again.dial("A")
        again.say("A", sslRequest)
        again.say("A", sslRequest)
        #expect(again.state("A") == "gone")
        again.finish()
    }

    @Test func nothingMayStandBehindAnEncryptionRequest() {
        let bench = Bench()
        bench.dial("A")
        bench.say("A", sslRequest + startup([("user", "u")]))
        #expect(
            bench.got("A") == ["E(FATAL 08P01 received unencrypted data after SSL request)", "closed"])
        bench.dial("B")
        bench.say("B", gssRequest + [0])
        #expect(
            bench.got("B") == [
                "E(FATAL 08P01 received unencrypted data after GSSAPI encryption request)", "closed",
            ])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func cleartextPassword(_ delivery: Delivery) {
        let bench = Bench(delivery) { $0.global.authType = .plain }
        bench.connect("A")
        #expect(bench.got("A") == ["R(···\\x3)"])
        bench.say("A", password("secret"))
        #expect(bench.actions() == [])
        bench.login("S1")
        #expect(bench.got("A").first == "R")
        bench.connect("B")
        bench.ignore("B")
        bench.say("B", password("wrong"))
        #expect(bench.got("B") == ["E(FATAL 08P01 password authentication failed)", "closed"])
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func md5Password(_ delivery: Delivery) {
        let bench = Bench(delivery) { $0.global.authType = .md5 }
        bench.connect("A")
        let salt = ByteString(Bytes((bench.sent["A"] ?? []).suffix(4)))
        #expect(bench.got("A").first?.hasPrefix("R(···\\x5") == true)
        let inner = ByteString("secret").withView { p in ByteString("u").withView { MD5.hex(p, $0) } }
        let outer = ByteString(inner ?? []).withView { p in salt.withView { MD5.hex(p, $0) } }
        bench.say("A", message("p", Bytes("md5".utf8) + (outer ?? []) + [0]))
        #expect(bench.state("A") == "awaitingWelcome")
        bench.finish()
    }

    /// Our own client side of SCRAM logs in to our own server side.
    @Test(arguments: Delivery.allCases)
    func scram(_ delivery: Delivery) {
        let bench = Bench(delivery) {
            $0.global.authType = .scramSHA256
            $0.global.scramIterations = 16
        }
        for (name, secret) in [("A", "secret"), ("B", "wrong")] as [(String, ByteString)] {
            var prover = ServerAuth(user: "u", credential: .secret(Secret(secret)))
            var entropy: any Entropy = Random(seed: 1)
            var cache = ScramKeyCache()
            bench.connect(name)
            for _ in 0..<2 {
                let request = (bench.sent[name] ?? []).bodies.last ?? []
                var reply = ByteBuffer()
                _ = ByteString(request).withView {
                    prover.received($0, entropy: &entropy, cache: &cache, into: &reply)
                }
                bench.say(name, Bytes(reply.view.rawBuffer))
            }
            bench.ignore(name)
            #expect(bench.state(name) == (name == "A" ? "awaitingWelcome" : "gone"))
        }
        bench.finish()
    }

    /// An unknown user is asked just as a known one, and fails in the same words.
    @Test(arguments: [AuthType.plain, .md5, .scramSHA256])
    func unknownUsersLookLikeKnownOnes(_ type: AuthType) {
        let bench = Bench { $0.global.authType = type }
        bench.connect("A")
        bench.connect("B", user: "stranger")
        #expect((bench.sent["A"] ?? []).count == (bench.sent["B"] ?? []).count)
        let known = bench.got("A").first?.prefix(6)
        #expect(known == bench.got("B").first?.prefix(6))
        bench.say("A", password("wrong"))
        bench.say("B", password("wrong"))
        #expect(bench.got("A") == bench.got("B"))
        bench.finish()
    }

    @Test func whatIsNoPasswordEndsALogin() {
        for bytes in [
            query("select 1"), message("p", [UInt8](repeating: 0x61, count: 70_000)),
            startup([("user", "u")]),
        ] {
            let bench = Bench { $0.global.authType = .plain }
            bench.connect("A")
            bench.ignore("A")
            bench.say("A", bytes)
            #expect(bench.got("A").last == "closed")
            #expect(bench.state("A") == "gone")
            bench.finish()
        }
    }

    @Test func aPasswordThatClaimsToBeLongIsRefusedOnItsHeader() {
        let bench = Bench { $0.global.authType = .md5 }
        bench.connect("A")
        bench.say("A", [0x70, 0x06, 0, 0, 0])
        #expect(bench.state("A") == "gone")
        bench.finish()
    }

    @Test func rightPasswordButTooMany() {
        let bench = Bench {
            $0.global.maxClientConn = 2
        }
        bench.connect("A")
        bench.login("S1")
        bench.connect("B")
        bench.connect("C")
        #expect(
            bench.got("C") == ["E(FATAL 08P01 no more connections allowed (max_client_conn))", "closed"])
        bench.end("B")
        bench.connect("D")
        #expect(bench.state("D") == "idle")
        bench.finish()
    }

    @Test func limitsPerUserAndDatabase() {
        let bench = Bench {
            $0.global.maxUserClientConnections = 1
            $0.database.maxDbClientConnections = 2
        }
        bench.connect("A")
        bench.login("S1")
        bench.connect("B")
        #expect(
            bench.got("B") == [
                "E(FATAL 08P01 client connections exceeded (max_user_client_connections))", "closed",
            ])
        bench.connect("C", user: "v")
        bench.login("S2")
        bench.connect("D", user: "w")
        #expect(
            bench.got("D") == [
                "E(FATAL 08P01 client connections exceeded (max_db_client_connections))", "closed",
            ])
        bench.end("A")
        bench.connect("E")
        #expect(bench.state("E") == "idle")
        bench.finish()
    }

    @Test func theConsole() {
        let bench = Bench {
            $0.global.adminUsers = ["u"]
            $0.global.statsUsers = ["v"]
        }
        bench.connect("A", database: "pgbouncer")
        #expect(bench.state("A") == "console")
        let rights = bench.client("A").map { bench.board.clients[$0].consoleRights }
        #expect(rights == .admin)
        bench.connect("B", user: "v", database: "pgbouncer")
        let lower = bench.client("B").map { bench.board.clients[$0].consoleRights }
        #expect(lower == .stats)
        let us = SocketAddress(family: .unix, processID: 1, userID: 1000)
        bench.dial("C", from: us)
        bench.say("C", startup([("user", "pgbouncer"), ("database", "pgbouncer")]))
        #expect(bench.state("C") == "console")
        let them = SocketAddress(family: .unix, processID: 1, userID: 1001)
        bench.dial("D", from: them)
        bench.say("D", startup([("user", "pgbouncer"), ("database", "pgbouncer")]))
        #expect(bench.state("D") == "gone")
        bench.say("A", query("SHOW POOLS"))
        let messages = bench.board.takeConsoleMessages()
        #expect(messages.count == 1)
        bench.say("A", message("X"))
        #expect(bench.state("A") == "gone")
        bench.finish()
    }

    @Test func namesAreBytes() {
        let nfc = "\u{E9}"
        let nfd = "e\u{301}"
        let bench = Bench {
            $0.secrets = [ByteString(nfc): "a", ByteString(nfd): "b"]
        }
        bench.connect("A", user: nfc)
        bench.connect("B", user: nfd)
        #expect(bench.liveNames == ["A", "B", "S1", "S2"])
        bench.finish()
    }

    @Test func anyAuthTakesTheForcedUser() {
        let bench = Bench {
            $0.global.authType = .any
            $0.database.user = "v"
        }
        bench.connect("A", user: "whoever")
        bench.reach("S1")
        #expect(bench.got("S1") == ["startup(user·v·database·db)"])
        bench.finish()
    }

    @Test func aServersDatabaseMayHaveAnotherName() {
        let bench = Bench {
            $0.database.dbname = "real"
            $0.database.user = "v"
            $0.database.clientEncoding = "UTF8"
            $0.database.applicationName = "pool"
        }
        bench.connect("A")
        bench.reach("S1")
        #expect(
            bench.got("S1") == [
                "startup(user·v·database·real·client_encoding·UTF8·application_name·pool)"
            ])
        bench.finish()
    }

    @Test func starCoversNamesWithoutALine() {
        let bench = Bench {
            var star = DatabaseEntry(name: "*")
            star.hosts = ["10.0.0.9"]
            $0.autoDatabase = star
        }
        bench.connect("A", database: "other")
        bench.reach("S1")
        #expect(bench.got("S1") == ["startup(user·u·database·other)"])
        #expect(bench.endpoints["S1"]?.host == "10.0.0.9")
        bench.finish()
    }

    @Test func optionsAreWishes() {
        let bench = Bench.withServer()
        bench.connect("B", [("options", "-c timezone=GMT --application-name=my\\ app -cDateStyle=SQL")])
        let got = bench.got("B")
        #expect(got.contains("S(TimeZone·GMT)"))
        #expect(got.contains("S(application_name·my app)"))
        #expect(got.contains("S(DateStyle·SQL)"))
        bench.finish()
    }

    @Test func theLastOfSeveralCounts() {
        let bench = Bench.withServer()
        bench.dial("B")
        bench.say(
            "B",
            startup([
                ("user", "u"), ("user", "v"), ("database", "nope"), ("database", "db"),
                ("application_name", "a"),
                ("application_name", "b"),
            ]))
        let user = bench.client("B").flatMap { bench.board.clients[$0].user }.map {
            bench.board.users[$0].name
        }
        #expect(user == "v")
        bench.login("S2")
        #expect(bench.got("B").contains("S(application_name·b)"))
        bench.finish()
    }

    @Test func theHostIsAddedToTheName() {
        let bench = Bench { $0.global.applicationNameAddHost = true }
        bench.connect("A", [("application_name", "x")])
        bench.login("S1")
        #expect(bench.got("A").contains("S(application_name·x - 127.0.0.1:0)"))
        bench.finish()
    }
}
