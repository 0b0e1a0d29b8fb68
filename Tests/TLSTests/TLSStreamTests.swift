import Config
import Primitives
import TLS
import Testing

/// Two ends in memory: what one writes the other reads, in pieces of any size.
private final class Pair {
    let client: TLSStream
    let server: TLSStream
    var exchange = TLSExchange()
    var toClient: [UInt8] = []
    var toServer: [UInt8] = []

    init(
        _ keys: Keys, ca: ByteString, mode: SSLMode, name: ByteString, direct: Bool = false,
        protocols: ByteString = "secure"
    ) throws {
        var ours = GlobalSettings()
        ours.clientTLSSSLMode = .require
        ours.clientTLSKeyFile = keys.path(".key")
        ours.clientTLSCertFile = keys.path(".crt")
        ours.clientTLSProtocols = protocols
        var theirs = GlobalSettings()
        theirs.serverTLSSSLMode = mode
        theirs.serverTLSCAFile = ca
        let forClients = try #require(try TLSContext.forClients(ours))
        let forServers = try #require(try TLSContext.forServers(theirs))
        server = try #require(TLSStream(forClients, demandsProtocol: direct))
        client = try #require(TLSStream(forServers, server: name, demandsProtocol: direct))
    }

    deinit {
        client.free()
        server.free()
    }

    /// Runs the handshake; `nil` when both ends are done, or what one of them said.
    func shakeHands(pieceBytes: Int = .max) -> String? {
        var clientIsDone = false
        var serverIsDone = false
        for _ in 0..<10_000 {
            if !clientIsDone || !toClient.isEmpty {
                switch Self.step(client, &toClient, pieceBytes, &exchange, &toServer) {
                case .done: clientIsDone = true
                case .goesOn: break
                case .failed(let failure): return "client: \(failure.text.lossyText)"
                }
            }
            if !serverIsDone || !toServer.isEmpty {
                switch Self.step(server, &toServer, pieceBytes, &exchange, &toClient) {
                case .done: serverIsDone = true
                case .goesOn: break
                case .failed(let failure): return "server: \(failure.text.lossyText)"
                }
            }
            if clientIsDone, serverIsDone, toClient.isEmpty, toServer.isEmpty { return nil }
        }
        return "no end"
    }

    private static func step(
        _ stream: TLSStream, _ input: inout [UInt8], _ limit: Int, _ exchange: inout TLSExchange,
        _ output: inout [UInt8]
    ) -> TLSStream.Handshake {
        let count = min(limit, input.count)
        let result = input.withUnsafeBytes {
            var view = ByteView($0).slice(0, count)
            return stream.handshake(&view, &exchange)
        }
        input.removeFirst(count)
        output += Array(exchange.output.rawBuffer)
        exchange.clearOutput()
        return result
    }

    /// The client says something, in pieces; what the server reads when it comes in pieces.
    func say(_ pieces: [[UInt8]], pieceBytes: Int) -> [UInt8] {
        let failure = client.write(count: pieces.count, &exchange) { index in
            pieces[index].withUnsafeBytes { ByteView(base: $0.baseAddress!, count: $0.count) }
        }
        #expect(failure == nil)
        let wire = Array(exchange.output.rawBuffer)
        exchange.clearOutput()
        var heard: [UInt8] = []
        var offset = 0
        while offset < wire.count {
            let end = min(wire.count, offset + pieceBytes)
            wire[offset..<end].withUnsafeBytes { bytes in
                var view = ByteView(bytes)
                while case .bytes(let count) = server.read(
                    &view, into: exchange.room, TLSExchange.roomBytes, &exchange)
                {
                    heard += Array(ByteView(base: exchange.room, count: count).rawBuffer)
                }
                #expect(view.isEmpty, "everything fed is taken")
            }
            offset = end
        }
        return heard
    }
}

@Suite struct TLSStreamTests {
    static let keys = Keys.shared

    private func handshake(
        _ keys: Keys, ca: Keys = keys, _ mode: SSLMode = .verifyFull, _ name: ByteString = "localhost",
        pieceBytes: Int = .max
    ) throws -> String? {
        let pair = try Pair(keys, ca: ca.path(".crt"), mode: mode, name: name)
        return pair.shakeHands(pieceBytes: pieceBytes)
    }

    @Test(arguments: [1, 7, 100, Int.max])
    func aHandshakeMayComeInAnyPieces(_ pieceBytes: Int) throws {
        #expect(try handshake(Self.keys, pieceBytes: pieceBytes) == nil)
    }

    @Test(arguments: [1, 5, 1000, 32 * 1024])
    func whatIsSaidIsHeard(_ pieceBytes: Int) throws {
        let pair = try Pair(Self.keys, ca: Self.keys.path(".crt"), mode: .verifyFull, name: "localhost")
        #expect(pair.shakeHands() == nil)
        for sizes in [
            [1], [5, 3], [16_383, 1, 1], [16_384], [16_385], [100, 40_000, 7], [8191, 8192, 8193],
        ] {
            var seed = 0
            let pieces = sizes.map { size in
                (0..<size).map { _ in
                    seed &+= 31
                    return UInt8(truncatingIfNeeded: seed)
                }
            }
            #expect(pair.say(pieces, pieceBytes: pieceBytes) == Array(pieces.joined()))
        }
    }

    @Test func smallPiecesShareARecord() throws {
        let pair = try Pair(Self.keys, ca: Self.keys.path(".crt"), mode: .require, name: "")
        #expect(pair.shakeHands() == nil)
        let pieces = [[UInt8]](repeating: [1, 2, 3], count: 10)
        #expect(
            pair.client.write(count: 10, &pair.exchange) { index in
                pieces[index].withUnsafeBytes { ByteView(base: $0.baseAddress!, count: $0.count) }
            } == nil)
        #expect(pair.exchange.output.count < 30 + 30)
    }

    @Test func bothEndsKnowWhatWasAgreedOn() throws {
        let pair = try Pair(Self.keys, ca: Self.keys.path(".crt"), mode: .verifyFull, name: "localhost")
        #expect(pair.shakeHands() == nil)
        let (ours, theirs) = (pair.server.facts, pair.client.facts)
        #expect(ours.version == "TLSv1.3")
        #expect(ours.cipher == theirs.cipher)
        #expect(theirs.peerName == "localhost")
        #expect(theirs.isPeerVerified)
        #expect(!ours.hasPeer)
        #expect(ours.endpointDigest == theirs.endpointDigest)
        #expect(ours.endpointDigest.count == 32)
    }

    @Test func anEndIsSaid() throws {
        let pair = try Pair(Self.keys, ca: Self.keys.path(".crt"), mode: .require, name: "")
        #expect(pair.shakeHands() == nil)
        pair.client.close(&pair.exchange)
        let goodbye = Array(pair.exchange.output.rawBuffer)
        pair.exchange.clearOutput()
        let reading = goodbye.withUnsafeBytes { bytes in
            var view = ByteView(bytes)
            return pair.server.read(&view, into: pair.exchange.room, 100, &pair.exchange)
        }
        #expect(reading == .closed)
    }

    @Test(arguments: ["Q\0\0\0\u{5}\0", "\0\0\0\u{8}\u{4}\u{d2}\u{16}\u{2f}", "GET / HTTP/1.1\r\n\r\n"])
    func plainTextIsNoHandshake(_ text: String) throws {
        let pair = try Pair(Self.keys, ca: "", mode: .require, name: "")
        var exchange = TLSExchange()
        let step = Array(text.utf8).withUnsafeBytes { bytes in
            var view = ByteView(bytes)
            return pair.server.handshake(&view, &exchange)
        }
        guard case .failed = step else {
            Issue.record("\(step)")
            return
        }
    }

    // MARK: Verification

    @Test(
        arguments: [
            ("localhost", true), ("127.0.0.1", true), ("127.0.0.2", false), ("::1", false),
            ("example.org", false), ("db.wild.example", true), ("a.b.wild.example", false),
            ("wild.example", false), ("LOCALHOST", true), ("localhos", false),
        ] as [(ByteString, Bool)])
    func verifyFullLooksAtTheName(_ name: ByteString, _ isGood: Bool) throws {
        let said = try handshake(Self.keys, .verifyFull, name)
        #expect((said == nil) == isGood, "\(said ?? "")")
        if !isGood { #expect(said?.hasPrefix("client: certificate verify failed") == true) }
    }

    @Test(arguments: ["", ".example.org"] as [ByteString])
    func verifyFullNeedsAName(_ name: ByteString) throws {
        var theirs = GlobalSettings()
        theirs.serverTLSSSLMode = .verifyFull
        theirs.serverTLSCAFile = Self.keys.path(".crt")
        let context = try #require(try TLSContext.forServers(theirs))
        #expect(TLSStream(context, server: name, demandsProtocol: false) == nil)
    }

    @Test func verifyCALooksAtTheAuthorityOnly() throws {
        #expect(try handshake(Self.keys, .verifyCA, "example.org") == nil)
        let said = try handshake(Self.keys, ca: Keys.other, .verifyCA, "localhost")
        #expect(said?.contains("certificate verify failed") == true)
    }

    @Test func requireLooksAtNothing() throws {
        #expect(try handshake(Self.keys, ca: Keys.other, .require, "example.org") == nil)
    }

    @Test func anAddressMayBeTheCommonNameOfAnOldCertificate() throws {
        #expect(try handshake(Keys.address, ca: Keys.address, .verifyFull, "10.1.2.3") == nil)
        #expect(try handshake(Keys.address, ca: Keys.address, .verifyFull, "10.1.2.4") != nil)
    }

    // MARK: The protocol's name

    @Test func directTLSNamesTheProtocol() throws {
        let pair = try Pair(Self.keys, ca: "", mode: .require, name: "", direct: true)
        #expect(pair.shakeHands() == nil)
        #expect(pair.server.facts.hasProtocol)
        #expect(pair.client.facts.hasProtocol)
    }

    // MARK: Settings

    @Test func badFilesAreNamedWithTheirSettings() throws {
        var global = GlobalSettings()
        global.clientTLSSSLMode = .require
        expectFailure(global, "must be set")
        global.clientTLSKeyFile = Self.keys.path(".key")
        global.clientTLSCertFile = "/nowhere/x.crt"
        expectFailure(global, "client_tls_cert_file \"/nowhere/x.crt\": No such file or directory")
        global.clientTLSCertFile = Self.keys.path(".crt")
        global.clientTLSKeyFile = Keys.other.path(".key")
        expectFailure(global, "client_tls_key_file")
        global.clientTLSKeyFile = Self.keys.path(".key")
        global.clientTLSCAFile = Self.keys.path(".key")
        expectFailure(global, "client_tls_ca_file")
        global.clientTLSCAFile = ""
        global.clientTLSSSLMode = .verifyFull
        expectFailure(global, "client_tls_sslmode requires client_tls_ca_file")
        global.clientTLSSSLMode = .require
        global.clientTLSProtocols = "tlsv9"
        expectFailure(global, "invalid client_tls_protocols: tlsv9")
        global.clientTLSProtocols = "secure"
        global.clientTLSCiphers = "nonsense"
        expectFailure(global, "invalid client_tls_ciphers: nonsense")
        global.clientTLSCiphers = "default"
        global.clientTLS13Ciphers = "nonsense"
        expectFailure(global, "failed to set the TLSv1.3 cipher suites")
        global.clientTLS13Ciphers = nil
        global.clientTLSECDHCurve = "nonsense"
        expectFailure(global, "invalid client_tls_ecdhcurve: nonsense")
        global.clientTLSECDHCurve = "prime256v1"
        #expect(try TLSContext.forClients(global) != nil)
        global.authType = .cert
        expectFailure(global, "auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL")
    }

    private func expectFailure(
        _ global: GlobalSettings, _ text: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do throws(TLSFailure) {
            _ = try TLSContext.forClients(global)
            Issue.record("accepted", sourceLocation: sourceLocation)
        } catch {
            #expect(
                error.text.lossyText.contains(text), "\(error.text.lossyText)", sourceLocation: sourceLocation
            )
        }
    }

    @Test(
        arguments: [
            ("tlsv1.2", "TLSv1.2"), ("tlsv1.3", "TLSv1.3"), ("all:!tlsv1.3", "TLSv1.2"),
            ("!tlsv1.3", "TLSv1.2"), ("secure", "TLSv1.3"), ("tlsv1.0,tlsv1.2", "TLSv1.2"),
        ] as [(ByteString, ByteString)])
    func versionsAreThoseOfTheList(_ protocols: ByteString, _ version: ByteString) throws {
        let pair = try Pair(Self.keys, ca: "", mode: .require, name: "", protocols: protocols)
        #expect(pair.shakeHands() == nil)
        #expect(pair.server.facts.version == version)
        #expect((pair.server.facts.group != nil) == (version == "TLSv1.2"))
    }
}
