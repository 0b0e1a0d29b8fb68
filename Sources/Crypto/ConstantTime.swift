import COpenSSL
public import Primitives

/// Comparison of secrets: the time it takes says nothing of where they differ.
public enum ConstantTime {
    /// The time depends on the lengths, which must not be secret; see `equalSecrets` where they are.
    public static func equal(_ a: ByteView, _ b: ByteView) -> Bool {
        a.count == b.count && CRYPTO_memcmp(a.base, b.base, a.count) == 0
    }

    /// For passwords, whose length is part of the secret: compares their digests.
    public static func equalSecrets(_ a: ByteView, _ b: ByteView) -> Bool {
        SHA256.hash(a).equals(SHA256.hash(b))
    }
}
