public import Crypto
public import Primitives
import Wire

/// What a server keeps to check SCRAM-SHA-256 proofs without knowing the password (RFC 5802, section 3):
/// salt, iterations, StoredKey and ServerKey.
public struct ScramVerifier: Sendable {
    /// What every verifier's text starts with.
    static let prefix: StaticString = "SCRAM-SHA-256$"

    public let salt: ByteString
    /// 1...Int32.max
    public let iterations: Int
    /// StoredKey, then ServerKey.
    private let keys: SecretDigestPair

    public init(storedKey: Digest256, serverKey: Digest256, salt: ByteString, iterations: Int) {
        self.salt = salt
        self.iterations = iterations
        keys = SecretDigestPair(storedKey, serverKey)
    }

    public init(_ scramKeys: ScramKeys, salt: ByteString, iterations: Int) {
        self.init(
            storedKey: SHA256.hash(scramKeys.clientKey), serverKey: scramKeys.serverKey, salt: salt,
            iterations: iterations)
    }

    /// Runs PBKDF2 (see `SHA256.pbkdf2` for what that costs). `password` is prepared here.
    public static func derive(password: ByteView, salt: ByteString, iterations: Int) -> ScramVerifier {
        ScramVerifier(
            ScramKeys.derive(password: password, salt: salt, iterations: iterations), salt: salt,
            iterations: iterations)
    }

    /// Parses "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey"; `nil` for anything else.
    public init?(parsing text: ByteView) {
        guard text.hasPrefix(Self.prefix) else { return nil }
        let fields = text.slice(Self.prefix.utf8CodeUnitCount)
        guard let colon = fields.firstIndex(of: 0x3A), let dollar = fields.firstIndex(of: 0x24, from: colon),
            let lastColon = fields.firstIndex(of: 0x3A, from: dollar)
        else { return nil }
        let saltText = fields.slice(colon &+ 1, dollar &- colon &- 1)
        let storedKeyText = fields.slice(dollar &+ 1, lastColon &- dollar &- 1)
        guard let iterations = fields.slice(0, colon).scramIterations(limit: Int(Int32.max)),
            let salt = Base64.decode(saltText), !salt.isEmpty,
            let storedKey = Digest256(base64: storedKeyText),
            let serverKey = Digest256(base64: fields.slice(lastColon &+ 1))
        else { return nil }
        self.init(
            storedKey: storedKey, serverKey: serverKey, salt: ByteString(salt), iterations: iterations)
    }

    public var storedKey: Digest256 { keys.first }
    public var serverKey: Digest256 { keys.second }

    /// The text a userlist or `pg_authid` holds.
    public var text: ByteString {
        var text = ByteBuffer()
        text.append(Self.prefix)
        text.append(decimal: iterations)
        text.append(0x3A)
        text.append(salt.withView { Base64.encode($0) })
        text.append(0x24)
        text.append(storedKey.base64)
        text.append(0x3A)
        text.append(serverKey.base64)
        return ByteString(text.view)
    }
}
