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

    public var clientKey: Digest256 { keys.first }
    public var serverKey: Digest256 { keys.second }
}
