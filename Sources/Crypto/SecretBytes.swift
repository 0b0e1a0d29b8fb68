import COpenSSL
public import Primitives

/// Bytes that must not outlive their use: never printed, never compared with `==`, wiped when the last owner
/// lets go. (A Swift array would leave copies of itself behind.)
public final class SecretBytes: Sendable {
    public let count: Int
    // The memory is written once, before `init` returns, and only read until `deinit`.
    nonisolated(unsafe) private let base: UnsafeMutableRawPointer

    public init(_ bytes: ByteView) {
        count = bytes.count
        base = .allocate(byteCount: max(1, count), alignment: 1)
        base.copyMemory(from: bytes.base, byteCount: count)
    }

    deinit {
        OPENSSL_cleanse(base, count)
        base.deallocate()
    }

    /// Runs `body` with a view on the bytes, valid only inside it.
    public func withView<R>(_ body: (ByteView) -> R) -> R { body(ByteView(base: base, count: count)) }

    public func equals(_ other: SecretBytes) -> Bool {
        self === other || withView { mine in other.withView { ConstantTime.equal(mine, $0) } }
    }
}

/// Two digests kept as `SecretBytes` keeps its bytes.
public final class SecretDigestPair: Sendable {
    // As above: written once, before `init` returns.
    nonisolated(unsafe) private let base: UnsafeMutablePointer<Digest256>

    public init(_ first: Digest256, _ second: Digest256) {
        base = .allocate(capacity: 2)
        base.initialize(to: first)
        (base + 1).initialize(to: second)
    }

    deinit {
        OPENSSL_cleanse(base, 2 * MemoryLayout<Digest256>.stride)
        base.deallocate()
    }

    public var first: Digest256 { base[0] }
    public var second: Digest256 { base[1] }
}
