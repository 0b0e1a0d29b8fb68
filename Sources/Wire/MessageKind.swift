public import Primitives

/// Every message a client may send after start-up, by its type byte (PostgreSQL manual, "Message Formats").
public enum ClientMessageKind: UInt8, Sendable {
    case bind = 0x42  // B
    case close = 0x43  // C
    case copyData = 0x64  // d
    case copyDone = 0x63  // c
    case copyFail = 0x66  // f
    case describe = 0x44  // D
    case execute = 0x45  // E
    case flush = 0x48  // H
    case functionCall = 0x46  // F
    case parse = 0x50  // P
    case password = 0x70  // p: PasswordMessage, SASLInitialResponse, SASLResponse
    case query = 0x51  // Q
    case sync = 0x53  // S
    case terminate = 0x58  // X
}

/// Every message a server may send, by its type byte.
public enum ServerMessageKind: UInt8, Sendable {
    case authentication = 0x52  // R
    case backendKeyData = 0x4B  // K
    case bindComplete = 0x32  // 2
    case closeComplete = 0x33  // 3
    case commandComplete = 0x43  // C
    case copyData = 0x64  // d
    case copyDone = 0x63  // c
    case copyInResponse = 0x47  // G
    case copyOutResponse = 0x48  // H
    case copyBothResponse = 0x57  // W
    case dataRow = 0x44  // D
    case emptyQueryResponse = 0x49  // I
    case errorResponse = 0x45  // E
    case functionCallResponse = 0x56  // V
    case negotiateProtocolVersion = 0x76  // v
    case noData = 0x6E  // n
    case noticeResponse = 0x4E  // N
    case notificationResponse = 0x41  // A
    case parameterDescription = 0x74  // t
    case parameterStatus = 0x53  // S
    case parseComplete = 0x31  // 1
    case portalSuspended = 0x73  // s
    case readyForQuery = 0x5A  // Z
    case rowDescription = 0x54  // T
}

/// What ReadyForQuery says of the session.
public enum TransactionStatus: UInt8, Sendable {
    case idle = 0x49  // I
    case inTransaction = 0x54  // T
    case failed = 0x45  // E
}

/// The requests an AuthenticationXXX message can make, by its first word.
public enum AuthenticationRequest: UInt32, Sendable {
    case ok = 0
    case cleartextPassword = 3
    case md5Password = 5
    case sasl = 10
    case saslContinue = 11
    case saslFinal = 12
}

/// The two words every regular message starts with.
public struct FrameHeader: Equatable, Sendable {
    /// Bytes of a header: the type and the length.
    public static let byteCount = 5
    /// The type byte as it came.
    public var kind: UInt8
    /// The whole message with its type byte and length, in bytes; at least 5.
    public var messageBytes: Int

    @inlinable
    public init(kind: UInt8, messageBytes: Int) {
        self.kind = kind
        self.messageBytes = messageBytes
    }
}

/// What stands at the front of some bytes.
public enum Frame: Equatable, Sendable {
    case header(FrameHeader)
    /// Fewer than five bytes are here.
    case incomplete
    /// The length field is below 4 or above the limit: no framing is possible from here on.
    case malformed
}

extension ByteView {
    /// Reads the header at `offset`. A whole message may have `limitBytes` (`max_packet_size`).
    @inlinable
    public func frame(at offset: Int, limitBytes: UInt32) -> Frame {
        guard let kind = self[offset], let length = uint32(at: offset &+ 1) else { return .incomplete }
        guard length >= 4, length < limitBytes else { return .malformed }
        return .header(FrameHeader(kind: kind, messageBytes: Int(length) &+ 1))
    }
}
