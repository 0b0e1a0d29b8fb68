import Crypto
public import Primitives

/// A random secret of the installation, from which users without a verifier get theirs. It must be the same
/// in all workers, and outlive reloads: two different salts for one name would say that the user is unknown.
public struct InstanceSecret: Sendable {
    private let bytes: SecretBytes

    public init(_ bytes: ByteView) { self.bytes = SecretBytes(bytes) }

    public static func random(_ entropy: inout any Entropy) -> InstanceSecret {
        ByteString(entropy.bytes(Digest256.byteCount)).withView { InstanceSecret($0) }
    }

    /// The SCRAM salt of a user who has no verifier: unknown, or with a plain password. Stable per name.
    public func salt(for user: ByteString) -> ByteString {
        let digest = bytes.withView { key in user.withView { SHA256.hmac(key: key, $0) } }
        return digest.withView { ByteString($0.slice(0, ScramLimits.saltBytes)) }
    }

    /// A verifier no password matches, to go through a whole exchange with.
    public func mockVerifier(for user: ByteString, iterations: Int) -> ScramVerifier {
        let key = bytes.withView { key in user.withView { SHA256.hmac(key: key, $0) } }
        return ScramVerifier(
            storedKey: SHA256.hmac(key: key, "Stored Key" as ByteString),
            serverKey: SHA256.hmac(key: key, "Server Key" as ByteString), salt: salt(for: user),
            iterations: iterations)
    }
}
