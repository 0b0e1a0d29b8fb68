public import Primitives

/// 32 bytes that SHA-256 or HMAC-SHA-256 made. Often a key, hence not Equatable: compare with `ConstantTime`.
public struct Digest256: Sendable {
    public static let byteCount = 32
    var storage: InlineArray<32, UInt8>

    init(storage: InlineArray<32, UInt8>) { self.storage = storage }

    /// `nil` unless there are exactly 32 bytes.
    public init?(_ bytes: ByteView) {
        guard bytes.count == Self.byteCount else { return nil }
        storage = InlineArray(repeating: 0)
        for (index, byte) in bytes.rawBuffer.enumerated() { storage[index] = byte }
    }

    /// Runs `body` with a view on the bytes, valid only inside it.
    public func withView<R>(_ body: (ByteView) -> R) -> R {
        withUnsafeBytes(of: storage) { body(ByteView($0)) }
    }

    /// Byte by byte, as SCRAM's ClientProof.
    public func xor(_ other: Digest256) -> Digest256 {
        var mixed = storage
        for index in 0..<Self.byteCount { mixed[index] ^= other.storage[index] }
        return Digest256(storage: mixed)
    }

    public func equals(_ other: Digest256) -> Bool {
        withView { mine in other.withView { ConstantTime.equal(mine, $0) } }
    }

    public var base64: ByteString { withView { Base64.encode($0) } }
}

extension Digest256: CustomReflectable {
    /// Nothing: printing a value that holds a key must not print the key.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
