public import Primitives

/// What the first bytes of a connection are (manual: "StartupMessage", "SSLRequest", "GSSENCRequest",
/// "CancelRequest").
public enum StartupPacket {
    /// More bytes are needed to tell.
    case incomplete
    /// Protocol 3: minor version, and the parameters behind the version word, terminator included.
    case startup(minor: UInt16, parameters: ByteView)
    case sslRequest
    case gssRequest
    /// The secret is as long as the issuer made it: 4 bytes in protocol 3.0, up to 256 in 3.2.
    case cancel(processID: UInt32, secret: ByteView)
    /// Protocol 2.
    case oldProtocol
    /// A TLS handshake record without an SSLRequest before it.
    case directTLS
    /// A regular message before any startup packet; its type byte.
    case message(kind: UInt8)
    /// Nothing that we know, or too long.
    case unknown
}

extension StartupPacket {
    /// PostgreSQL's own limit (pqcomm.h, MAX_STARTUP_PACKET_LENGTH), in bytes.
    public static let limitBytes = 10_000
    private static let sslCode: UInt32 = 1234 << 16 | 5679
    private static let gssCode: UInt32 = 1234 << 16 | 5680
    private static let cancelCode: UInt32 = 1234 << 16 | 5678
    private static let cancelSecretLimitBytes = 256

    /// The packet at the front of `bytes` and its length. Decides after eight bytes at the latest whether
    /// anything more is worth waiting for.
    public static func read(_ bytes: ByteView) -> (packet: StartupPacket, length: Int) {
        guard let first = bytes[0] else { return (.incomplete, 0) }
        if first == 0x16 { return (.directTLS, 0) }
        if first != 0 { return (.message(kind: first), 0) }
        guard let length = bytes.uint32(at: 0) else { return (.incomplete, 0) }
        guard length >= 8, length <= limitBytes else { return (.unknown, 0) }
        guard let code = bytes.uint32(at: 4) else { return (.incomplete, 0) }
        let count = Int(length)
        let packet: StartupPacket
        switch code {
        case sslCode: packet = length == 8 ? .sslRequest : .unknown
        case gssCode: packet = length == 8 ? .gssRequest : .unknown
        case cancelCode:
            guard count <= 12 + cancelSecretLimitBytes else { return (.unknown, 0) }
            // Without a key there is nobody it could mean.
            guard count >= 16 else { return (.cancel(processID: 0, secret: bytes.slice(0, 0)), count) }
            guard bytes.count >= count, let processID = bytes.uint32(at: 8) else { return (.incomplete, 0) }
            packet = .cancel(processID: processID, secret: bytes.slice(12, count - 12))
        case _ where code >> 16 == 3:
            guard bytes.count >= count else { return (.incomplete, 0) }
            packet = .startup(
                minor: UInt16(truncatingIfNeeded: code), parameters: bytes.slice(8, count - 8))
        case _ where code >> 16 == 2: packet = .oldProtocol
        default: packet = .unknown
        }
        return (packet, count)
    }
}

/// The name and value pairs of a StartupMessage.
public struct StartupParameters {
    private let bytes: ByteView
    private var offset = 0

    /// `nil` unless the pairs are well-formed and exactly one zero byte ends them at the very end.
    public init?(_ bytes: ByteView) {
        self.bytes = bytes
        var place = 0
        while let name = bytes.cString(at: place) {
            if name.bytes.isEmpty { break }
            guard let value = bytes.cString(at: name.next) else { return nil }
            place = value.next
        }
        guard place == bytes.count - 1, bytes[place] == 0 else { return nil }
    }

    public mutating func next() -> (name: ByteView, value: ByteView)? {
        guard let name = bytes.cString(at: offset), !name.bytes.isEmpty,
            let value = bytes.cString(at: name.next)
        else { return nil }
        offset = value.next
        return (name.bytes, value.bytes)
    }
}
