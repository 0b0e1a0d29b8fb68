import COpenSSL
package import Primitives

/// Why TLS could not be set up, or why a stream broke: a sentence for the log.
package struct TLSFailure: Error, Equatable, Sendable {
    package let text: ByteString
    package init(_ text: ByteString) { self.text = text }

    /// Something else than PostgreSQL may be spoken on the other side.
    static let noProtocol = TLSFailure(
        "the server has not agreed to PostgreSQL's protocol (ALPN), which direct TLS needs")

    /// What the library says of its last call; forgotten there afterwards.
    static func fromLibrary(_ otherwise: StaticString) -> TLSFailure {
        // The first entry is the cause, what follows is where it was felt.
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return TLSFailure(ByteString(otherwise)) }
        if let reason = ERR_reason_error_string(code) {
            return TLSFailure(ByteString(String(cString: reason)))
        }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { room in
            guard let base = room.baseAddress else { return TLSFailure(ByteString(otherwise)) }
            ERR_error_string_n(code, base, room.count)
            // "error:80000002:system library::No such file or directory"
            let parts = String(cString: base).split(separator: ":")
            return TLSFailure(ByteString(parts.last.map(String.init) ?? "\(otherwise)"))
        }
    }
}
