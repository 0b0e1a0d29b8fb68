import Auth
import Crypto
import Primitives

/// F6: how a server asks for a password; and the texts of secrets.
///
/// The input is a script: what we can prove ourselves with, then the bodies of `R` messages. In a body `%N`
/// is our nonce, `%V` the right signature of the server.
enum ScramClient {
    static let words: [ByteString] = [
        "\n%%\n", "%N", "%V", ByteString([0, 0, 0, 0]), ByteString([0, 0, 0, 3]), ByteString([0, 0, 0, 5]),
        ByteString([0, 0, 0, 10]), ByteString([0, 0, 0, 11]), ByteString([0, 0, 0, 12]),
        "SCRAM-SHA-256\0", "SCRAM-SHA-256-PLUS\0", "\0\0", "r=%Nxyz,s=c2FsdA==,i=16", ",i=1", ",i=1000000",
        ",i=1000001", ",i=2147483648", "v=%V", "e=other-error", "s=", "SCRAM-SHA-256$16:c2FsdA==$", "$", ":",
        "md50123456789abcdef0123456789abcdef", "md5", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let choice = input.choice(5)
        if choice == 4 { return secretText(input.rest()) }
        let secret = Secret(choice == 2 ? "md50123456789abcdef0123456789abcdef" : ScramServer.password)
        let credential: ServerCredential = choice == 3 ? .none : .secret(secret)
        var auth = ServerAuth(user: "u", credential: credential)
        var entropy: any Entropy = Random(seed: 9)
        var cache = ScramKeyCache()
        var talk = Talk()
        for template in input.parts().prefix(6) {
            let body = talk.fill(template)
            var written = ByteBuffer()
            let step = ByteString(body).withView {
                auth.received($0, entropy: &entropy, cache: &cache, into: &written)
            }
            if written.count > 12_000 { return .finding("bounds: \(written.count) bytes written") }
            switch step {
            case .replied:
                talk.hears(body, ByteString(written.view).bytes)
            case .accepted:
                if body != [0, 0, 0, 0] { return .finding("accepted on \(body.shown)") }
                if talk.isSASL, !talk.hasProved { return .finding("accepted a server without its proof") }
                return .fine
            case .failed:
                return talk.mustGoOn(body) ? .finding("refused \(body.shown), which is right") : .fine
            }
        }
        return .fine
    }

    /// What both sides said, by the book.
    private struct Talk {
        var isSASL = false
        var hasProved = false
        private var clientBare = Bytes()
        private var serverFirst = Bytes()
        private var clientFinal = Bytes()

        private var nonce: Bytes { Bytes(clientBare.drop { $0 != 0x72 }.dropFirst(2)) }

        func fill(_ template: Bytes) -> Bytes {
            let body = template.replacing("%N", with: nonce)
            return body.holds("%V") ? body.replacing("%V", with: signature) : body
        }

        mutating func hears(_ body: Bytes, _ answer: Bytes) {
            let said = Cutter(answer).pieces.first?.body ?? []
            if body.starts(with: [0, 0, 0, 10]) {
                isSASL = true
                // Mechanism, length, "n,,", the rest.
                clientBare = Bytes(said.drop { $0 != 0 }.dropFirst(8))
            } else if body.starts(with: [0, 0, 0, 11]) {
                serverFirst = Bytes(body.dropFirst(4))
                clientFinal = said
            } else if body.starts(with: [0, 0, 0, 12]) {
                hasProved = Bytes(body.dropFirst(4)) == Array("v=".utf8) + signature
            }
        }

        private var signature: Bytes {
            var parts: [UInt8: Bytes] = [:]
            for part in serverFirst.split(separator: 0x2C) where part.count > 1 {
                parts[part.first ?? 0] = Bytes(part.dropFirst(2))
            }
            let salt = ByteString(parts[0x73] ?? []).withView { Base64.decode($0) } ?? []
            let count = Int(String(decoding: parts[0x69] ?? [], as: UTF8.self)) ?? 1
            let keys = ScramServer.password.withView {
                ScramKeys.derive(
                    password: $0, salt: ByteString(salt), iterations: min(max(count, 1), 1_000_000))
            }
            let end = clientFinal.count - 47
            guard end > 0 else { return [] }
            let message = clientBare + [0x2C] + serverFirst + [0x2C] + clientFinal[..<end]
            return SHA256.hmac(key: keys.serverKey, ByteString(message)).base64.bytes
        }

        /// The one thing that must not be refused at this place.
        func mustGoOn(_ body: Bytes) -> Bool { hasProved && body == [0, 0, 0, 0] }
    }

    /// Texts as they stand in a user list: read, written and read again they are the same.
    private static func secretText(_ text: Bytes) -> Verdict {
        let secret = Secret(ByteString(text))
        let isScram = text.starts(with: Array("SCRAM-SHA-256$".utf8))
        switch secret.kind {
        case .plain:
            if isScram { return .finding("a broken verifier is a password") }
        case .md5:
            let digits = text.dropFirst(3)
            if digits.count != 32 || !digits.allSatisfy({ Array("0123456789abcdef".utf8).contains($0) }) {
                return .finding("\(text.shown) is an MD5 secret")
            }
        case .malformed:
            if !isScram { return .finding("\(text.shown) is called malformed") }
        case .scram:
            guard let verifier = secret.verifier else { return .finding("no verifier in a verifier") }
            let again = verifier.text.withView { ScramVerifier(parsing: $0) }
            guard let again, again.text == verifier.text, again.iterations == verifier.iterations else {
                return .finding("verifier \(text.shown) does not survive")
            }
            if verifier.iterations < 1 || verifier.iterations > Int(Int32.max) {
                return .finding("\(verifier.iterations) iterations")
            }
        }
        return .fine
    }
}
