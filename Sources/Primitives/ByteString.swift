/// Bytes that own themselves: names, passwords, SQL, parameter values.
///
/// PostgreSQL compares bytes; Swift's `String` compares by Unicode equivalence, which would let one role into
/// another role's pool. So names are never `String`.
public struct ByteString: Hashable, Comparable, Sendable, ExpressibleByStringLiteral {
    public let bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }
    public init(_ view: ByteView) { bytes = Array(view.rawBuffer) }
    public init(_ text: String) { bytes = Array(text.utf8) }
    public init(_ text: StaticString) { self.init(stringLiteral: text) }
    public init(stringLiteral text: StaticString) {
        bytes = Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    public var count: Int { bytes.count }
    public var isEmpty: Bool { bytes.isEmpty }

    public static func < (a: ByteString, b: ByteString) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }

    /// Runs `body` with a view on the bytes, valid only inside it.
    @inlinable
    public func withView<R, E: Error>(_ body: (ByteView) throws(E) -> R) throws(E) -> R {
        var result: Result<R, E>?
        bytes.withUnsafeBytes { raw in
            do throws(E) { result = .success(try body(ByteView(raw))) } catch { result = .failure(error) }
        }
        return try result!.get()
    }

    public func equals(_ view: ByteView) -> Bool {
        bytes.count == view.count && withView { $0.equals(view) }
    }

    /// ASCII letters compare without case.
    public func equalsIgnoringASCIICase(_ other: ByteString) -> Bool {
        withView { mine in other.withView { mine.equalsIgnoringASCIICase($0) } }
    }

    /// For our own texts and for printing; never for comparing names.
    public var lossyText: String { String(decoding: bytes, as: UTF8.self) }
}
