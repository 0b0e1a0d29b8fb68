import COpenSSL
package import Primitives

/// Comparison of secrets: the time it takes says nothing of where they differ.
package enum ConstantTime {
    /// The time depends on the lengths, which must not be secret; see `equalSecrets` where they are.
    package static func equal(_ a: ByteView, _ b: ByteView) -> Bool {
        a.count == b.count && CRYPTO_memcmp(a.base, b.base, a.count) == 0
    }

    /// For passwords, whose length is part of the secret: compares their digests.
    package static func equalSecrets(_ a: ByteView, _ b: ByteView) -> Bool {
        SHA256.hash(a).equals(SHA256.hash(b))
    }
}
