import Config
import Primitives
import Session
import Testing

@testable import Engine

/// Who is encrypted: every mode against every first packet, both sides.
@Suite struct TLSTests {
    private static let clientHello: Bytes = [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]
    private static let unix = SocketAddress(family: .unix)

    private func bench(
        _ delivery: Delivery = .whole, clients: SSLMode = .disable, servers: SSLMode = .disable,
        _ configure: (inout Setup) -> Void = { _ in }
    ) -> Bench {
        Bench(delivery) {
            $0.global.clientTLSSSLMode = clients
            $0.global.serverTLSSSLMode = servers
            configure(&$0)
        }
    }

    // MARK: Clients

    @Test(arguments: SSLMode.allCases, Delivery.allCases)
    func sslRequestIsGrantedUnlessDisabled(_ mode: SSLMode, _ delivery: Delivery) {
        let bench = bench(delivery, clients: mode)
        bench.dial("A")
        let told = bench.say("A", sslRequest)
        if mode == .disable {
            #expect(bench.sent["A"] == Bytes("N".utf8))
            #expect(!told.contains { $0.hasPrefix("startTLS") })
        } else {
            #expect(bench.sent["A"] == Bytes("S".utf8))
            #expect(told.last == "startTLS A ''")
            bench.secure("A")
            bench.say("A", startup([("user", "u"), ("database", "db")]))
            #expect(bench.state("A") == "awaitingWelcome")
            #expect(bench.log.contains { $0.contains("tls=TLSv1.3/TLS_AES_256_GCM_SHA384 replication=no") })
        }
        bench.finish()
    }

    @Test(arguments: SSLMode.allCases)
    func aStartupInTheClearIsRefusedWhereTLSIsDemanded(_ mode: SSLMode) {
        let bench = bench(clients: mode)
        bench.connect("A")
        if mode.demandsTLS {
            #expect(bench.got("A").first?.hasPrefix("E(FATAL 08P01 SSL required") == true)
            #expect(bench.state("A") == "gone")
            #expect(!bench.log.contains { $0.contains("login attempt") })
        } else {
            #expect(bench.state("A") == "awaitingWelcome")
            #expect(bench.log.contains { $0.contains("tls=no") })
        }
        bench.finish()
    }

    @Test(arguments: SSLMode.allCases)
    func unixSocketsAreNeverEncryptedAndNeverRefused(_ mode: SSLMode) {
        let bench = bench(clients: mode)
        bench.dial("A", from: Self.unix)
        bench.say("A", sslRequest)
        #expect(bench.sent["A"] == Bytes("N".utf8))
        bench.say("A", startup([("user", "u"), ("database", "db")]))
        #expect(bench.state("A") == "awaitingWelcome")
        bench.dial("B", from: Self.unix)
        #expect(bench.say("B", Self.clientHello) == ["drop B"])
        bench.finish()
    }

    @Test(arguments: SSLMode.allCases, Delivery.allCases)
    func directTLSBeginsWithTheBytesThatCame(_ mode: SSLMode, _ delivery: Delivery) {
        let bench = bench(delivery, clients: mode)
        bench.dial("A")
        let told = bench.say("A", [Self.clientHello[0]])
        if mode == .disable {
            #expect(told == ["drop A"])
        } else {
            #expect(told == ["startTLS A '' direct"])
            #expect(bench.takeKept("A") == [0x16])
            bench.secure("A")
            bench.say("A", startup([("user", "u"), ("database", "db")]))
            #expect(bench.state("A") == "awaitingWelcome")
        }
        bench.finish()
    }

    @Test(arguments: [
        sslRequest + startup([("user", "u")]), sslRequest + [0x16, 3, 1], sslRequest + sslRequest,
        sslRequest + [0],
    ])
    func nothingMayBeStuffedBehindTheRequest(_ bytes: Bytes) {
        let bench = bench(clients: .prefer)
        bench.dial("A")
        #expect(!bench.say("A", bytes).contains { $0.hasPrefix("startTLS") })
        #expect(
            bench.got("A") == ["E(FATAL 08P01 received unencrypted data after SSL request)", "closed"])
        bench.finish()
    }

    @Test(arguments: [sslRequest, gssRequest, clientHello])
    func nothingIsEncryptedTwice(_ bytes: Bytes) {
        let bench = bench(clients: .prefer)
        bench.dial("A")
        bench.say("A", sslRequest)
        bench.secure("A")
        #expect(!bench.say("A", bytes).contains { $0.hasPrefix("startTLS") })
        #expect(bench.sent["A"]?.first == UInt8(ascii: "S"))
        #expect(bench.state("A") == "gone")
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func gssIsDeclinedAndTLSGrantedAfterIt(_ delivery: Delivery) {
        let bench = bench(delivery, clients: .require)
        bench.dial("A")
        bench.say("A", gssRequest)
        #expect(bench.say("A", sslRequest).last == "startTLS A ''")
        #expect(bench.sent["A"] == Bytes("NS".utf8))
        bench.dial("B")
        bench.say("B", gssRequest)
        bench.say("B", gssRequest)
        #expect(bench.state("B") == "gone")
        bench.finish()
    }

    @Test func aCancelRequestMayComeEitherWay() {
        let bench = bench(clients: .require)
        bench.dial("A")
        bench.say("A", cancelRequest([0, 0, 0, 1, 0, 0, 0, 1]))
        #expect(bench.state("A") == "gone")
        bench.dial("B")
        bench.say("B", sslRequest)
        bench.secure("B")
        bench.say("B", cancelRequest([0, 0, 0, 1, 0, 0, 0, 1]))
        #expect(bench.state("B") == "gone")
        bench.finish()
    }

    @Test func aHandshakeThatDoesNotEndRunsIntoTheLoginTimeout() {
        let bench = bench(clients: .require)
        bench.dial("A")
        bench.say("A", sslRequest)
        bench.pass(.seconds(61))
        #expect(bench.state("A") == "gone")
        bench.finish()
    }

    @Test func aBrokenHandshakeIsLogged() {
        let bench = bench(clients: .require)
        bench.dial("A")
        bench.say("A", sslRequest)
        bench.end("A", .brokenTLS("wrong version number"))
        #expect(bench.log.contains { $0.contains("TLS handshake error: wrong version number") })
        bench.finish()
    }

    // MARK: Certificates of clients

    @Test(arguments: [("u" as ByteString?, true), ("v", false), (nil, false)])
    func theNameOfTheCertificateIsTheRole(_ name: ByteString?, _ isIn: Bool) {
        let bench = bench(clients: .verifyFull) { $0.global.authType = .cert }
        bench.dial("A")
        bench.say("A", sslRequest)
        bench.secure("A", peer: name)
        bench.say("A", startup([("user", "u"), ("database", "db")]))
        if isIn {
            #expect(bench.state("A") == "awaitingWelcome")
        } else {
            #expect(
                bench.sent["A"].map { String(decoding: $0, as: UTF8.self) }?.contains(
                    "certificate authentication failed") == true)
            #expect(bench.state("A") == "gone")
        }
        bench.finish()
    }

    @Test func withoutTLSThereIsNoCertificate() {
        let bench = bench { $0.global.authType = .cert }
        bench.connect("A")
        #expect(bench.got("A") == ["E(FATAL 08P01 certificate authentication failed)", "closed"])
        #expect(bench.log.contains { $0.contains("TLS connection required") })
        bench.finish()
    }

    // MARK: Servers

    @Test(arguments: SSLMode.allCases)
    func serversAreAskedUnlessDisabled(_ mode: SSLMode) {
        let bench = bench(servers: mode)
        bench.connect("A")
        bench.reach("S1")
        #expect((bench.sent["S1"] == sslRequest) == (mode != .disable))
        if mode != .disable {
            #expect(bench.say("S1", Bytes("S".utf8)) == ["startTLS S1 '10.0.0.1'"])
            bench.secure("S1")
            #expect(bench.log.contains { $0.contains("SSL established: TLSv1.3/TLS_AES_256_GCM_SHA384") })
        }
        bench.ignore("S1")
        bench.say("S1", authenticationOk + backendKey(1, 1) + ready)
        #expect(bench.state("A") == "idle")
        bench.finish()
    }

    @Test(arguments: SSLMode.allCases.filter { $0 != .disable })
    func aServerThatRefusesIsUsedInTheClearWhereThatIsAllowed(_ mode: SSLMode) {
        let bench = bench(servers: mode)
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", Bytes("N".utf8))
        if mode.demandsTLS {
            #expect(!bench.isHere("S1"))
            #expect(bench.log.contains { $0.contains("closing because: server refused SSL") })
            // Nothing but the request has been sent in the clear, and the client keeps its place.
            #expect(bench.sent["S1"] == sslRequest)
            #expect(bench.state("A") == "awaitingWelcome")
        } else {
            #expect(bench.sent["S1"].map { $0.count > sslRequest.count } == true)
            #expect(bench.isHere("S1"))
        }
        bench.finish()
    }

    @Test(arguments: [
        (Bytes("SE".utf8), "received unencrypted data after SSL response"),
        (Bytes("NR".utf8), "received unencrypted data after SSL response"),
        (Bytes("E".utf8), "bad sslreq answer"), (Bytes("X".utf8), "bad sslreq answer"),
        ([0x16], "bad sslreq answer"),
    ])
    func otherAnswersEndTheServer(_ answer: Bytes, _ reason: String) {
        for mode in [SSLMode.prefer, .require] {
            let bench = bench(servers: mode)
            bench.connect("A")
            bench.reach("S1")
            let told = bench.say("S1", answer)
            #expect(!told.contains { $0.hasPrefix("startTLS") })
            #expect(!bench.isHere("S1"))
            #expect(bench.log.contains { $0.contains("closing because: \(reason)") })
            #expect(bench.state("A") == "awaitingWelcome")
            bench.finish()
        }
    }

    /// Not a byte goes out before TLS, neither for a session nor for a cancel request.
    @Test(arguments: SSLMode.allCases)
    func directTLSAsksNobody(_ mode: SSLMode) {
        let bench = bench(servers: mode) { $0.global.serverTLSNegotiation = .direct }
        bench.connect("A")
        let told = bench.reach("S1")
        guard mode.demandsTLS else {
            #expect(!told.contains { $0.hasPrefix("startTLS") })
            return bench.finish()
        }
        #expect(told == ["startTLS S1 '10.0.0.1' direct"])
        #expect((bench.sent["S1"] ?? []).isEmpty)
        bench.secure("S1")
        bench.say("S1", authenticationOk + backendKey(1, 0x0101_0101) + ready)
        #expect(bench.state("A") == "idle")
        bench.say("A", query("select pg_sleep(9)"))
        bench.dial("K")
        bench.say("K", cancelRequest(bench.key(of: "A")))
        #expect(bench.reach("S2") == ["startTLS S2 '10.0.0.1' direct"])
        bench.secure("S2")
        #expect(bench.sent["S2"] == cancelRequest([0, 0, 0, 1, 1, 1, 1, 1]))
        bench.finish()
    }

    @Test func aFailedHandshakeIsNotFollowedByPlainText() {
        let bench = bench(servers: .prefer)
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", Bytes("S".utf8))
        bench.end("S1", .brokenTLS("certificate verify failed"))
        #expect(bench.sent["S1"] == sslRequest)
        #expect(bench.log.contains { $0.contains("TLS handshake error: certificate verify failed") })
        #expect(bench.state("A") == "awaitingWelcome")
        bench.finish()
    }

    @Test func anAnswerThatDoesNotComeRunsIntoTheConnectTimeout() {
        let bench = bench(servers: .require)
        bench.connect("A")
        bench.reach("S1")
        bench.pass(.seconds(16))
        #expect(!bench.isHere("S1"))
        bench.finish()
    }

    @Test(arguments: [true, false])
    func aCancelIsEncryptedIfItsSessionIs(_ isEncrypted: Bool) {
        let bench = bench(servers: .prefer)
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", Bytes(isEncrypted ? "S".utf8 : "N".utf8))
        if isEncrypted { bench.secure("S1") }
        bench.say("S1", authenticationOk + backendKey(1, 0x0101_0101) + ready)
        bench.say("A", query("select pg_sleep(9)"))
        bench.dial("K")
        bench.say("K", cancelRequest(bench.key(of: "A")))
        bench.reach("S2")
        let carried = cancelRequest([0, 0, 0, 1, 1, 1, 1, 1])
        if isEncrypted {
            #expect(bench.sent["S2"] == sslRequest)
            #expect(bench.say("S2", Bytes("S".utf8)) == ["startTLS S2 '10.0.0.1'"])
            bench.secure("S2")
            #expect(bench.sent["S2"] == sslRequest + carried)
        } else {
            #expect(bench.sent["S2"] == carried)
        }
        bench.finish()
    }

    @Test func aCancelDoesNotGoInTheClearForAnEncryptedSession() {
        let bench = bench(servers: .prefer)
        bench.connect("A")
        bench.reach("S1")
        bench.say("S1", Bytes("S".utf8))
        bench.secure("S1")
        bench.say("S1", authenticationOk + backendKey(1, 1) + ready)
        bench.say("A", query("select pg_sleep(9)"))
        bench.dial("K")
        bench.say("K", cancelRequest(bench.key(of: "A")))
        bench.reach("S2")
        bench.say("S2", Bytes("N".utf8))
        #expect(bench.sent["S2"] == sslRequest)
        #expect(!bench.isHere("S2"))
        #expect(bench.state("K") == "gone")
        #expect(bench.state("A") == "active S1")
        bench.finish()
    }

    // MARK: Settings

    @Test func settingsThatTheDriverCannotFollowAreNotInForce() {
        let bench = bench(clients: .disable)
        var global = bench.board.snapshot.global
        global.clientTLSSSLMode = .require
        let wanted = bench.board.snapshot.with(global: global)
        bench.tell { $0.put(wanted, inForce: $1, keepsTLS: true, into: &$2) }
        bench.dial("A")
        bench.say("A", sslRequest)
        #expect(bench.sent["A"] == Bytes("N".utf8))
        bench.tell { $0.put(wanted, inForce: $1, into: &$2) }
        bench.dial("B")
        bench.say("B", sslRequest)
        #expect(bench.sent["B"] == Bytes("S".utf8))
        bench.finish()
    }
}
