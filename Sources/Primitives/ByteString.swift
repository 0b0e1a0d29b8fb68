/// Bytes that own themselves: names, passwords, SQL, parameter values.
///
/// PostgreSQL compares bytes; Swift's `String` compares by Unicode equivalence, which would let one role into
/// another role's pool. So names are never `String`.
package struct ByteString: Hashable, Comparable, Sendable, ExpressibleByStringLiteral {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package init(_ view: ByteView) { bytes = Array(view.rawBuffer) }
    package init(_ text: String) { bytes = Array(text.utf8) }
    package init(_ text: StaticString) { self.init(stringLiteral: text) }
    package init(stringLiteral text: StaticString) {
        bytes = Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    package var count: Int { bytes.count }
    package var isEmpty: Bool { bytes.isEmpty }

    package static func < (a: ByteString, b: ByteString) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }

    /// Runs `body` with a view on the bytes, valid only inside it.
    @inlinable
    package func withView<R, E: Error>(_ body: (ByteView) throws(E) -> R) throws(E) -> R {
        var result: Result<R, E>?
        bytes.withUnsafeBytes { raw in
            do throws(E) { result = .success(try body(ByteView(raw))) } catch { result = .failure(error) }
        }
        return try result!.get()
    }

    package func equals(_ view: ByteView) -> Bool {
        bytes.count == view.count && withView { $0.equals(view) }
    }

    /// ASCII letters compare without case.
    package func equalsIgnoringASCIICase(_ other: ByteString) -> Bool {
        withView { mine in other.withView { mine.equalsIgnoringASCIICase($0) } }
    }

    /// For our own texts and for printing; never for comparing names.
    package var lossyText: String { String(decoding: bytes, as: UTF8.self) }
}
