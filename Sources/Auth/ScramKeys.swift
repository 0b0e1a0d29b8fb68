public import Crypto
public import Primitives

/// ClientKey and ServerKey of one password under one salt and iteration count: enough to log in to a server
/// that keeps the same verifier, without the password (SCRAM pass-through).
public struct ScramKeys: Sendable {
    /// ClientKey, then ServerKey.
    private let keys: SecretDigestPair

    public init(clientKey: Digest256, serverKey: Digest256) { keys = SecretDigestPair(clientKey, serverKey) }

    /// RFC 5802, section 3: both keys of a password. Runs PBKDF2.
    public static func derive(password: ByteView, salt: ByteString, iterations: Int) -> ScramKeys {
        let prepared = SASLprep.prepare(password)
        let salted = prepared.withView { password in
            salt.withView { SHA256.pbkdf2(password: password, salt: $0, iterations: iterations) }
        }
        return ScramKeys(
            clientKey: SHA256.hmac(key: salted, "Client Key" as ByteString),
            serverKey: SHA256.hmac(key: salted, "Server Key" as ByteString))
    }

    /// Of their bytes; `nil` when those are no keys.
    public init?(clientKey: ByteString, serverKey: ByteString) {
        guard let client = clientKey.withView({ Digest256($0) }),
            let server = serverKey.withView({ Digest256($0) })
        else { return nil }
        self.init(clientKey: client, serverKey: server)
    }

    /// For another process; nobody else may see them.
    public var bytes: (clientKey: ByteString, serverKey: ByteString) {
        (clientKey.withView { ByteString($0) }, serverKey.withView { ByteString($0) })
    }

    public var clientKey: Digest256 { keys.first }
    public var serverKey: Digest256 { keys.second }
}
