public import Primitives

/// Writing whole messages: the length is filled in when the body is done.
extension ByteBuffer {
    /// Starts a message; `end(message:)` wants the value back.
    public mutating func begin(message kind: UInt8) -> Int {
        append(kind)
        append(uint32: 0)
        return count - 4
    }

    public mutating func end(message lengthOffset: Int) {
        set(uint32: UInt32(truncatingIfNeeded: count - lengthOffset), at: lengthOffset)
    }

    public mutating func message(_ kind: ServerMessageKind, _ body: (inout ByteBuffer) -> Void = { _ in }) {
        let mark = begin(message: kind.rawValue)
        body(&self)
        end(message: mark)
    }

    public mutating func message(_ kind: ClientMessageKind, _ body: (inout ByteBuffer) -> Void = { _ in }) {
        let mark = begin(message: kind.rawValue)
        body(&self)
        end(message: mark)
    }

    public mutating func append(cString string: ByteView) {
        append(string)
        append(0)
    }

    @_disfavoredOverload
    public mutating func append(cString string: ByteString) {
        append(string)
        append(0)
    }

    public mutating func append(cString text: StaticString) {
        append(text)
        append(0)
    }

    public mutating func authentication(
        _ request: AuthenticationRequest, _ body: (inout ByteBuffer) -> Void = { _ in }
    ) {
        message(.authentication) {
            $0.append(uint32: request.rawValue)
            body(&$0)
        }
    }

    public mutating func readyForQuery(_ status: TransactionStatus) {
        message(.readyForQuery) { $0.append(status.rawValue) }
    }

    public mutating func parameterStatus(_ name: ByteString, _ value: ByteString) {
        message(.parameterStatus) {
            $0.append(cString: name)
            $0.append(cString: value)
        }
    }

    public mutating func commandComplete(_ tag: ByteString) {
        message(.commandComplete) { $0.append(cString: tag) }
    }

    /// A simple Query (manual: "Query").
    public mutating func query(_ sql: ByteString) {
        message(.query) { $0.append(cString: sql) }
    }

    /// An ErrorResponse or NoticeResponse with the fields PgBouncer sends (S, C, M), and D, H and P where we
    /// know more. `position` counts characters of the query from 1.
    public mutating func report(
        _ kind: ServerMessageKind, severity: StaticString, state: ByteString, text: ByteString,
        detail: ByteString? = nil, hint: ByteString? = nil, position: Int? = nil
    ) {
        message(kind) {
            $0.append(0x53)
            $0.append(cString: severity)
            $0.append(0x43)
            $0.append(cString: state)
            $0.append(0x4D)
            $0.append(cString: text)
            if let detail {
                $0.append(0x44)
                $0.append(cString: detail)
            }
            if let hint {
                $0.append(0x48)
                $0.append(cString: hint)
            }
            if let position {
                $0.append(0x50)
                $0.append(decimal: position)
                $0.append(0)
            }
            $0.append(0)
        }
    }
}
