public import Primitives

/// Readers for the messages of a server that we look into. All take a message's body, without type and
/// length.
public enum ServerMessage {
    /// manual: "ParameterStatus"
    public static func parameterStatus(_ body: ByteView) -> (name: ByteView, value: ByteView)? {
        guard let name = body.cString(at: 0), let value = body.cString(at: name.next),
            value.next == body.count
        else { return nil }
        return (name.bytes, value.bytes)
    }

    /// manual: "BackendKeyData"; the secret has 4 to 256 bytes.
    public static func backendKeyData(_ body: ByteView) -> (processID: UInt32, secret: ByteView)? {
        guard let processID = body.uint32(at: 0), body.count >= 8, body.count <= 260 else { return nil }
        return (processID, body.slice(4))
    }

    /// manual: "ReadyForQuery"; `nil` for any length or status PostgreSQL does not send.
    public static func readyForQuery(_ body: ByteView) -> TransactionStatus? {
        guard body.count == 1, let status = body[0] else { return nil }
        return TransactionStatus(rawValue: status)
    }

    /// One field of an ErrorResponse or NoticeResponse, by its letter.
    public static func field(_ letter: UInt8, of body: ByteView) -> ByteView? {
        var offset = 0
        while let kind = body[offset], kind != 0 {
            guard let value = body.cString(at: offset + 1) else { return nil }
            if kind == letter { return value.bytes }
            offset = value.next
        }
        return nil
    }
}

/// Readers for the messages of a client that we look into. All take a message's body, without type and
/// length.
public enum ClientMessage {
    /// manual: "Parse": the statement's name, and what makes it the same statement for anybody: text and
    /// types.
    public static func parse(_ body: ByteView) -> (name: ByteView, definition: ByteView)? {
        guard let name = body.cString(at: 0) else { return nil }
        let definition = body.slice(name.next)
        guard let text = definition.cString(at: 0), let types = definition.uint16(at: text.next),
            definition.count == text.next + 2 + 4 * Int(types)
        else { return nil }
        return (name.bytes, definition)
    }

    /// manual: "Bind": the portal, the statement, and the length of both with their terminators.
    public static func bind(_ body: ByteView) -> (portal: ByteView, statement: ByteView, length: Int)? {
        guard let portal = body.cString(at: 0), let statement = body.cString(at: portal.next) else {
            return nil
        }
        return (portal.bytes, statement.bytes, statement.next)
    }

    /// manual: "Describe" and "Close": `S` for a statement or `P` for a portal, and its name.
    public static func target(_ body: ByteView) -> (kind: UInt8, name: ByteView)? {
        guard let kind = body[0], let name = body.cString(at: 1), name.next == body.count else { return nil }
        return (kind, name.bytes)
    }
}
