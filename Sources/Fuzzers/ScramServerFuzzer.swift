import Auth
import Crypto
import Primitives

/// F5: what a client answers to a request for its password.
///
/// The input is a script: the method, the kind of secret, then the bodies of `p` messages. In a body `%I`
/// makes the rest a SASLInitialResponse, `%N` is the nonce the pooler sent, `%P` the right proof.
enum ScramServer {
    static let words: [ByteString] = [
        "\n%%\n", "%I", "%N", "%P", "%D", "n,,n=,r=abc", "y,,", "p=tls-unique,,", "n,a=bob,", "m=x,",
        "c=biws,r=%N,p=%P",
        "c=eSws", "r=%N", ",p=%P", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "pencil", "pencil\0", "=", ",",
    ]
    static let password: ByteString = "pencil"
    private static let user: ByteString = "u"
    private static let salt: ByteString = "0123456789abcdef"
    static let iterations = 16
    private static let verifier = password.withView {
        ScramVerifier.derive(password: $0, salt: salt, iterations: iterations)
    }
    private static let md5Secret = password.withView { password in
        user.withView { ByteString(Array("md5".utf8) + (MD5.hex(password, $0) ?? [])) }
    }
    private static let secrets: [Secret?] = [
        Secret(password), Secret(verifier.text), Secret(md5Secret), Secret("SCRAM-SHA-256$4096:broken"), nil,
        Secret(""),
    ]
    private static let instance = ("0123456789abcdef0123456789abcdef" as ByteString).withView {
        InstanceSecret($0)
    }

    static func run(_ bytes: Bytes) -> Verdict {
        var input = Input(bytes)
        let method = [ClientMethod.scram, .plain, .md5, .trust][input.choice(4)]
        let kind = input.choice(secrets.count)
        let bodies = input.parts()
        var auth = ClientAuth(
            method: method, user: user, secret: secrets[kind], instance: instance, iterations: iterations)
        var entropy: any Entropy = Random(seed: 7)
        var cache = ScramKeyCache()
        var asked = ByteBuffer()
        var step = auth.begin(entropy: &entropy, into: &asked)
        var model = ScramModel(method: method, kind: kind)
        for template in bodies.prefix(6) {
            guard case .waiting = step else { break }
            let body = model.fill(template)
            let expected = model.mayAccept(body)
            var written = ByteBuffer()
            step = ByteString(body).withView {
                auth.received($0, entropy: &entropy, cache: &cache, into: &written)
            }
            model.hears(ByteString(written.view).bytes)
            if written.count > 2048 { return .finding("bounds: \(written.count) bytes written") }
            switch step {
            case .typed: return .finding("a password for a judge, and there is none")
            case .accepted:
                if expected != .accept { return .finding("accepted \(body.shown), the model: \(expected)") }
            case .rejected(let failure):
                if expected != .reject {
                    return .finding("\(failure) for \(body.shown), the model: \(expected)")
                }
            case .waiting:
                if expected != .wait { return .finding("waits after \(body.shown), the model: \(expected)") }
            }
        }
        // Nothing may come after the end.
        if case .waiting = step { return .fine }
        var rest = ByteBuffer()
        step = password.withView { auth.received($0, entropy: &entropy, cache: &cache, into: &rest) }
        if case .rejected = step { return .fine }
        return .finding("went on after the end")
    }
}

/// The same exchange by the book (RFC 5802, RFC 7677), made of splits, for one known password.
struct ScramModel {
    enum Outcome: Equatable { case accept, reject, wait }

    let method: ClientMethod
    /// Of the secret: plain, verifier, MD5, malformed, none, empty.
    let kind: Int
    private var clientFirst: Bytes?
    private var serverFirst = Bytes()
    private var asked = Bytes()
    private var steps = 0
    private var lastFirst: Bytes?

    init(method: ClientMethod, kind: Int) {
        // Whose secret is a SCRAM verifier is asked for SCRAM instead of MD5.
        self.method = method == .md5 && kind == 1 ? .scram : method
        self.kind = kind
    }

    /// Messages of the pooler: the SASL challenge, if there is one.
    mutating func hears(_ bytes: Bytes) {
        for piece in Cutter(bytes).pieces where piece.body.starts(with: [0, 0, 0, 11]) {
            serverFirst = Bytes(piece.body.dropFirst(4))
            clientFirst = lastFirst
        }
    }

    private func attribute(_ name: Character) -> Bytes {
        let wanted = name.asciiValue ?? 0
        for part in serverFirst.split(separator: 0x2C) where part.first == wanted {
            return Bytes(part.dropFirst(2))
        }
        return []
    }

    func fill(_ template: Bytes) -> Bytes {
        var body = template
        if body.starts(with: Array("%I".utf8)) {
            let rest = Bytes(body.dropFirst(2))
            body = Array("SCRAM-SHA-256\0".utf8) + Message.word(UInt32(rest.count)) + rest
        }
        body = body.replacing("%N", with: attribute("r"))
        if body.holds("%P") { body = body.replacing("%P", with: proof(of: withoutProof(body) ?? [])) }
        return body
    }

    private func withoutProof(_ body: Bytes) -> Bytes? {
        let mark = Array(",p=".utf8)
        guard body.count >= 3 else { return nil }
        for place in 0...(body.count - 3) where body[place...].starts(with: mark) {
            return Bytes(body[..<place])
        }
        return nil
    }

    private func proof(of withoutProof: Bytes) -> Bytes {
        guard let clientFirst else { return [] }
        let salt = ByteString(attribute("s")).withView { Base64.decode($0) } ?? []
        guard let count = Int(String(decoding: attribute("i"), as: UTF8.self)), count < 100_000 else {
            return []
        }
        let keys = ScramServer.password.withView {
            ScramKeys.derive(password: $0, salt: ByteString(salt), iterations: count)
        }
        let bare = Bytes(clientFirst.dropFirst(3))
        let message = ByteString(bare + [0x2C] + serverFirst + [0x2C] + withoutProof)
        let signature = SHA256.hmac(key: SHA256.hash(keys.clientKey), message)
        return keys.clientKey.xor(signature).base64.bytes
    }

    mutating func mayAccept(_ body: Bytes) -> Outcome {
        steps += 1
        switch method {
        case .trust, .judged: return .reject
        case .plain:
            guard body == Array("pencil\0".utf8), kind < 3 else { return .reject }
            return .accept
        case .md5:
            // The right answer needs the salt; nothing in the dictionary knows it.
            return .reject
        case .scram:
            return steps == 1 ? first(body) : final(body)
        }
    }

    private mutating func first(_ body: Bytes) -> Outcome {
        guard body.count <= 1024, let end = body.firstIndex(of: 0) else { return .reject }
        guard Bytes(body[..<end]) == Array("SCRAM-SHA-256".utf8), body.count >= end + 5 else {
            return .reject
        }
        let length = body[end + 1..<end + 5].reduce(0) { $0 << 8 | Int($1) }
        let text = Bytes(body[(end + 5)...])
        guard length == text.count, !text.contains(0) else { return .reject }
        guard text.starts(with: Array("n,,".utf8)) || text.starts(with: Array("y,,".utf8)) else {
            return .reject
        }
        let parts = Bytes(text.dropFirst(3)).split(separator: 0x2C, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts.allSatisfy({ Self.isAttribute(Bytes($0)) }) else { return .reject }
        guard parts[0].first == 0x6E, parts[1].first == 0x72 else { return .reject }
        let nonce = parts[1].dropFirst(2)
        guard !nonce.isEmpty, nonce.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return .reject }
        lastFirst = text
        return .wait
    }

    private func final(_ body: Bytes) -> Outcome {
        guard kind < 2, body.count <= 1024, let clientFirst else { return .reject }
        let parts = body.split(separator: 0x2C, omittingEmptySubsequences: false).map { Bytes($0) }
        guard parts.count >= 3, parts.allSatisfy(Self.isAttribute) else { return .reject }
        let binding = clientFirst.first == 0x6E ? "c=biws" : "c=eSws"
        guard parts[0] == Array(binding.utf8), parts[1] == Array("r=".utf8) + attribute("r") else {
            return .reject
        }
        guard parts.dropFirst(2).firstIndex(where: { $0.first == 0x70 }) == parts.count - 1 else {
            return .reject
        }
        let last = parts[parts.count - 1]
        let front = Bytes(body.dropLast(last.count + 1))
        return Bytes(last.dropFirst(2)) == proof(of: front) ? .accept : .reject
    }

    private static func isAttribute(_ part: Bytes) -> Bool {
        guard part.count >= 2, part[1] == 0x3D else { return false }
        return (0x41...0x5A).contains(part[0]) || (0x61...0x7A).contains(part[0])
    }
}

extension Array where Element == UInt8 {
    func holds(_ word: StaticString) -> Bool {
        let word = ByteString(word).bytes
        guard count >= word.count else { return false }
        return (0...count - word.count).contains { self[$0...].starts(with: word) }
    }

    func replacing(_ word: StaticString, with new: Bytes) -> Bytes {
        let word = ByteString(word).bytes
        var result = Bytes()
        var place = 0
        while place < count {
            if self[place...].starts(with: word) {
                result += new
                place += word.count
            } else {
                result.append(self[place])
                place += 1
            }
        }
        return result
    }
}
