import COpenSSL
public import Primitives

/// SHA-256, HMAC-SHA-256 and PBKDF2 over it, by OpenSSL's libcrypto.
///
/// libcrypto can refuse these only when it is broken or memory is gone: then no login can be right, and the
/// precondition says so. No input reaches it.
public enum SHA256 {
    public static func hash(_ message: ByteView) -> Digest256 {
        var out = InlineArray<32, UInt8>(repeating: 0)
        let done = withUnsafeMutableBytes(of: &out) { room in
            COpenSSL.SHA256(
                message.base.assumingMemoryBound(to: UInt8.self), message.count,
                room.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        precondition(done != nil, "libcrypto cannot compute SHA-256")
        return Digest256(storage: out)
    }

    public static func hash(_ message: Digest256) -> Digest256 { message.withView { hash($0) } }

    /// HMAC-SHA-256 (RFC 2104).
    public static func hmac(key: ByteView, _ message: ByteView) -> Digest256 {
        var out = InlineArray<32, UInt8>(repeating: 0)
        var written: UInt32 = 0
        let done = withUnsafeMutableBytes(of: &out) { room in
            HMAC(
                EVP_sha256(), key.base, Int32(clamping: key.count),
                message.base.assumingMemoryBound(to: UInt8.self), message.count,
                room.baseAddress?.assumingMemoryBound(to: UInt8.self), &written)
        }
        precondition(done != nil && written == 32, "libcrypto cannot compute HMAC-SHA-256")
        return Digest256(storage: out)
    }

    public static func hmac(key: Digest256, _ message: ByteView) -> Digest256 {
        key.withView { hmac(key: $0, message) }
    }

    public static func hmac(key: Digest256, _ message: ByteString) -> Digest256 {
        message.withView { hmac(key: key, $0) }
    }

    /// PBKDF2-HMAC-SHA-256 with 32 bytes of output: SCRAM's `Hi`. Takes about 0.2 µs per iteration, so
    /// whoever calls it bounds `iterations` (1...) and keeps the result.
    public static func pbkdf2(password: ByteView, salt: ByteView, iterations: Int) -> Digest256 {
        var out = InlineArray<32, UInt8>(repeating: 0)
        let done = withUnsafeMutableBytes(of: &out) { room in
            PKCS5_PBKDF2_HMAC(
                password.base.assumingMemoryBound(to: CChar.self), Int32(clamping: password.count),
                salt.base.assumingMemoryBound(to: UInt8.self), Int32(clamping: salt.count),
                Int32(clamping: max(1, iterations)), EVP_sha256(), Int32(Digest256.byteCount),
                room.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        precondition(done == 1, "libcrypto cannot compute PBKDF2-HMAC-SHA-256")
        return Digest256(storage: out)
    }
}
