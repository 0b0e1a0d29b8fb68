import Auth
import Crypto
import Primitives
import Testing
import Wire

/// RFC 7677, section 3: user "user", password "pencil".
private enum RFC7677 {
    static let clientNonce: ByteString = "rOprNGfwEbeRWgbNEkqO"
    static let serverNonce: ByteString = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    static let clientFirst: ByteString = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    static let serverFirst: ByteString =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    static let clientFinal: ByteString =
        """
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=
        """
    static let serverFinal: ByteString = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    static let salt = ByteString(
        ("W22ZaJ0SNY7soEsUEjb6gQ==" as ByteString).withView { Base64.decode($0) } ?? [])
    static let keys = ("pencil" as ByteString).withView {
        ScramKeys.derive(password: $0, salt: salt, iterations: 4096)
    }
}

@Suite struct ScramTests {
    @Test func rfc7677AsProver() throws {
        let prover = ScramProver(nonce: RFC7677.clientNonce, user: "user")
        #expect(prover.clientFirst == RFC7677.clientFirst)
        let server = try #require(RFC7677.serverFirst.withView { prover.parse(serverFirst: $0) })
        #expect(server.iterations == 4096)
        let (final, signature) = prover.answer(server, keys: RFC7677.keys)
        #expect(final == RFC7677.clientFinal)
        #expect(
            RFC7677.serverFinal.withView { ScramProver.verify(serverFinal: $0, signature: signature) } == true
        )
    }

    @Test func rfc7677AsChallenger() throws {
        let verifier = ScramVerifier(RFC7677.keys, salt: RFC7677.salt, iterations: 4096)
        var challenger = ScramChallenger(verifier: verifier, doomed: nil)
        let first = RFC7677.clientFirst.withView { challenger.first($0, ownNonce: RFC7677.serverNonce) }
        #expect(try first.get() == RFC7677.serverFirst)
        let (final, keys) = try RFC7677.clientFinal.withView { challenger.final($0) }.get()
        #expect(final == RFC7677.serverFinal)
        #expect(keys.clientKey.equals(RFC7677.keys.clientKey))
    }

    /// A right proof over what the client itself says: only the check of the binding stands in its way.
    @Test(arguments: [("biws", true), ("eSws", false), ("biwsbiws", false), ("", false)])
    func theBindingMustBeTheOneTheExchangeBeganWith(binding: String, isRight: Bool) throws {
        let keys = RFC7677.keys
        var challenger = ScramChallenger(
            verifier: ScramVerifier(keys, salt: RFC7677.salt, iterations: 4096), doomed: nil)
        let serverFirst = try RFC7677.clientFirst.withView {
            try challenger.first($0, ownNonce: RFC7677.serverNonce).get()
        }
        let nonce = RFC7677.clientNonce.lossyText + RFC7677.serverNonce.lossyText
        let withoutProof = "c=\(binding),r=\(nonce)"
        let authMessage = "n=user,r=\(RFC7677.clientNonce.lossyText),\(serverFirst.lossyText),\(withoutProof)"
        let signature = SHA256.hmac(key: SHA256.hash(keys.clientKey), ByteString(authMessage))
        let proof = keys.clientKey.xor(signature).base64.lossyText
        let end = ByteString("\(withoutProof),p=\(proof)").withView { challenger.final($0) }
        switch end {
        case .success: #expect(isRight)
        case .failure(let rejection): #expect(!isRight && rejection.reason == .channelBindingMismatch)
        }
    }

    @Test func aDoomedExchangeFailsEvenWithARightProof() throws {
        var challenger = ScramChallenger(
            verifier: ScramVerifier(RFC7677.keys, salt: RFC7677.salt, iterations: 4096), doomed: .unknownUser)
        let first = RFC7677.clientFirst.withView { challenger.first($0, ownNonce: RFC7677.serverNonce) }
        #expect(try first.get() == RFC7677.serverFirst)
        switch RFC7677.clientFinal.withView({ challenger.final($0) }) {
        case .success: Issue.record("a doomed exchange succeeded")
        case .failure(let rejection): #expect(rejection.reason == .unknownUser)
        }
    }
}
