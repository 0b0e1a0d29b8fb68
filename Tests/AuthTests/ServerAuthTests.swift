import Auth
import Crypto
import Primitives
import Testing
import Wire

@Suite struct ServerAuthTests {
    private static let keys = Login.password.withView {
        ScramKeys.derive(password: $0, salt: SecretSample.verifier.salt, iterations: 16)
    }

    private static func credential(_ sample: SecretSample) -> ServerCredential {
        sample.secret.map { .secret($0) } ?? .none
    }

    @Test func trustNeedsNothing() {
        var server = ServerLogin(.none)
        #expect(server.received(request(.ok)).0.isAccepted)
        #expect(server.received(request(.ok)).0.failure == .malformed(.outOfTurn))
    }

    /// B56: which secret can answer which request.
    @Test(arguments: SecretSample.allCases)
    func requests(sample: SecretSample) {
        let usable: [(AuthenticationRequest, ByteString, [SecretSample])] = [
            (.cleartextPassword, "", [.plain, .empty]), (.md5Password, "salt", [.plain, .md5, .empty]),
            (.sasl, "SCRAM-SHA-256\0\0", [.plain, .empty]),
        ]
        for (kind, payload, samples) in usable {
            var server = ServerLogin(Self.credential(sample))
            let (step, written) = server.received(request(kind, payload))
            #expect(step.isReplied == samples.contains(sample), "\(kind) \(sample)")
            #expect(written.count == (step.isReplied ? 1 : 0))
            if !step.isReplied { #expect(step.failure?.text == "server login failed: wrong password type") }
        }
    }

    /// B58: the keys a client's login yielded log in to a server with the same verifier.
    @Test func passThrough() throws {
        var client = Login(.scram, SecretSample.scram.secret)
        var first = ServerLogin(.secret(Secret(Login.password)))
        let keys = try #require(converse(&client, &first).client.keys)
        var postgres = Login(.scram, SecretSample.scram.secret)
        postgres.entropy = Random(seed: 1234)
        var second = ServerLogin(.keys(keys))
        let end = converse(&postgres, &second)
        #expect(end.client.isAccepted && end.server?.isAccepted == true)
        #expect(second.cache.misses == 0)
    }

    @Test func clearTextLoginsYieldKeysToo() throws {
        var client = Login(.plain, SecretSample.scram.secret)
        var first = ServerLogin(.secret(Secret(Login.password)))
        let keys = try #require(converse(&client, &first).client.keys)
        #expect(keys.clientKey.equals(Self.keys.clientKey) && keys.serverKey.equals(Self.keys.serverKey))
    }

    /// H26
    @Test func keysAnswerOnlySCRAM() {
        for body in [request(.cleartextPassword), request(.md5Password, "salt")] {
            var server = ServerLogin(.keys(Self.keys))
            let (step, written) = server.received(body)
            #expect(step.failure?.text == "server login failed: wrong password type")
            #expect(written.isEmpty)
        }
    }

    @Test func reconnectsRunPBKDF2Once() {
        var cache = ScramKeyCache(capacity: 4)
        for round in 0..<3 {
            var postgres = Login(.scram, SecretSample.scram.secret)
            var server = ServerLogin(.secret(Secret(Login.password)))
            server.cache = cache
            #expect(converse(&postgres, &server).server?.isAccepted == true)
            cache = server.cache
            #expect(cache.misses == 1 && cache.hits == UInt64(round))
        }
    }

    @Test func mechanisms() {
        func step(_ list: ByteString) -> ServerAuthStep {
            var server = ServerLogin(.secret(Secret(Login.password)))
            return server.received(request(.sasl, list)).0
        }
        #expect(step("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0").isReplied)
        for list in ["\0", "SCRAM-SHA-1\0\0", "SCRAM-SHA-256-PLUS\0\0"] as [ByteString] {
            #expect(
                step(list).failure?.text
                    == "server login failed: none of the server's SASL authentication mechanisms are supported"
            )
        }
        for list in ["", "SCRAM-SHA-256", "SCRAM-SHA-256\0", "SCRAM-SHA-256\0\0x"] as [ByteString] {
            #expect(step(list).failure == .malformed(.message))
        }
    }
}

/// A server that is broken, or not the one it says it is (H24 to H26).
@Suite struct HostileServerTests {
    /// Our login, after it sent its nonce.
    private func started() -> (ServerLogin, nonce: String) {
        var server = ServerLogin(.secret(Secret(Login.password)))
        let sent = server.received(request(.sasl, "SCRAM-SHA-256\0\0")).1.first?.body.lossyText ?? ""
        return (server, String(sent.split(separator: "r=").last ?? ""))
    }

    @Test func serverFirstMessages() {
        let salt = "AAECAwQFBgcICQoLDA0ODw=="
        let long = String(repeating: "x", count: 10_240)
        let bigSalt = String(repeating: "AAAA", count: 342)
        let cases: [(String, (String) -> String)] = [
            ("not our nonce", { _ in "r=abc,s=\(salt),i=16" }),
            ("only our nonce", { "r=\($0),s=\(salt),i=16" }),
            ("10 KiB nonce", { "r=\($0)\(long),s=\(salt),i=16" }),
            ("nonce with a space", { "r=\($0) x,s=\(salt),i=16" }),
            ("iterations 0", { "r=\($0)x,s=\(salt),i=0" }),
            ("iterations 2^31", { "r=\($0)x,s=\(salt),i=2147483648" }),
            ("iterations over ours", { "r=\($0)x,s=\(salt),i=1000001" }),
            ("negative", { "r=\($0)x,s=\(salt),i=-1" }),
            ("huge", { "r=\($0)x,s=\(salt),i=99999999999999999999" }),
            ("signed", { "r=\($0)x,s=\(salt),i=+16" }),
            ("bad salt", { "r=\($0)x,s=A*==,i=16" }), ("no salt", { "r=\($0)x,s=,i=16" }),
            ("big salt", { "r=\($0)x,s=\(bigSalt),i=16" }), ("cut", { "r=\($0)x,s=\(salt)" }),
            ("empty", { _ in "" }),
            ("more behind", { "r=\($0)x,s=\(salt),i=16,m=1" }),
            ("extension first", { "m=1,r=\($0)x,s=\(salt),i=16" }),
        ]
        for (name, message) in cases {
            var (server, nonce) = started()
            let (step, written) = server.received(request(.saslContinue, ByteString(message(nonce))))
            #expect(step.failure == .malformed(.message), "\(name)")
            #expect(step.failure?.text == "server login failed: failed to answer authreq")
            #expect(written.isEmpty && server.cache.misses == 0, "\(name)")
        }
    }

    /// H25: our proof is out, but the server does not know the password.
    @Test func serverFinalMessages() {
        let wrong = "v=" + String(repeating: "A", count: 43) + "="
        let cases: [(String, ServerAuthFailure)] = [
            (wrong, .invalidSignature), ("v=", .malformed(.message)), ("", .malformed(.message)),
            ("e=other-error", .malformed(.message)), (wrong + ",x=1,", .malformed(.message)),
            ("v=AAAA", .malformed(.message)),
        ]
        for (message, failure) in cases {
            var server = afterProof()
            #expect(
                server.received(request(.saslFinal, ByteString(message))).0.failure == failure, "\(message)")
            #expect(server.received(request(.ok)).0.failure != nil)
        }
        #expect(ServerAuthFailure.invalidSignature.text == "server login failed: invalid server signature")
    }

    @Test func okBeforeTheServerProvedItself() {
        var (server, _) = started()
        #expect(server.received(request(.ok)).0.failure == .malformed(.withoutProof))
        var later = afterProof()
        #expect(later.received(request(.ok)).0.failure == .malformed(.withoutProof))
    }

    @Test func requestsOutOfTurn() {
        for body in [
            request(.cleartextPassword), request(.md5Password, "salt"), request(.sasl, "SCRAM-SHA-256\0\0"),
            request(.saslFinal, "v=AAAA"),
        ] {
            var (server, _) = started()
            #expect(server.received(body).0.failure == .malformed(.outOfTurn))
        }
        // A second question after an answer would tell the password twice, the second time in the clear.
        var server = ServerLogin(.secret(Secret(Login.password)))
        #expect(server.received(request(.md5Password, "salt")).0.isReplied)
        #expect(server.received(request(.cleartextPassword)).0.failure == .malformed(.outOfTurn))
    }

    @Test func malformedRequests() {
        let bodies: [(ByteString, ServerAuthFailure)] = [
            ("", .malformed(.message)), ("\0\0\0", .malformed(.message)),
            (request(.ok, "x"), .malformed(.message)),
            (request(.cleartextPassword, "x"), .malformed(.message)),
            (request(.md5Password, "sal"), .malformed(.message)),
            (request(.md5Password, "salty"), .malformed(.message)),
            ("\0\0\0\u{7}", .wrongPasswordType(.unknownRequest)),
            (ByteString([255, 255, 255, 255]), .wrongPasswordType(.unknownRequest)),
            (ByteString([UInt8](repeating: 0, count: 8193)), .malformed(.message)),
        ]
        for (body, failure) in bodies {
            var server = ServerLogin(.secret(Secret(Login.password)))
            #expect(server.received(body).0.failure == failure)
        }
    }

    @Test func mutatedMessagesNeverGetIn() {
        var random = Random(seed: 424_242)
        for round in 0..<20_000 {
            var (server, nonce) = started()
            let first = request(
                .saslContinue, ByteString("r=\(nonce)x,s=AAECAwQFBgcICQoLDA0ODw==,i=\(1 + round % 3)"))
            _ = server.received(round % 2 == 0 ? first : mutated(first, &random))
            let final = request(.saslFinal, ByteString("v=" + String(repeating: "A", count: 43) + "="))
            #expect(!server.received(mutated(final, &random)).0.isAccepted)
            #expect(!server.received(request(.ok)).0.isAccepted)
        }
    }

    private func afterProof() -> ServerLogin {
        var (server, nonce) = started()
        let first = ByteString("r=\(nonce)x,s=AAECAwQFBgcICQoLDA0ODw==,i=16")
        #expect(server.received(request(.saslContinue, first)).0.isReplied)
        return server
    }
}
