public import Primitives
import Wire

/// Every different prepared statement once, whoever prepared it: the same text and parameter types are one
/// statement with one name on the servers.
public struct StatementTable: ~Copyable {
    private var definitions: Interner
    private var serials: [UInt32] = []
    private var lastSerial: UInt32 = 0

    public init(seed: UInt64) { definitions = Interner(seed: seed) }

    public var count: Int { definitions.count }

    /// The statement with this definition (Parse without its name), held once more. `guess`: the one it may
    /// well be, which spares looking it up.
    public mutating func hold(_ definition: ByteView, guess: UInt32 = ExpectedReply.none) -> UInt32 {
        if guess < UnnamedStatement.tooLong, definitions.holds(guess, definition) {
            definitions.hold(again: guess)
            return guess
        }
        let before = definitions.count
        let number = definitions.hold(definition)
        while serials.count <= Int(number) { serials.append(0) }
        if definitions.count > before {
            lastSerial &+= 1
            serials[Int(number)] = lastSerial
        }
        return number
    }

    public mutating func hold(again statement: UInt32) { definitions.hold(again: statement) }

    public mutating func letGo(_ statement: UInt32) {
        if statement < UnnamedStatement.tooLong { definitions.letGo(statement) }
    }

    public func definition(_ statement: UInt32) -> ByteString { definitions.bytes(statement) }

    /// Its name on every server: PgBouncer's form, because people look for it in `pg_prepared_statements`.
    public func writeName(_ statement: UInt32, into buffer: inout ByteBuffer) {
        buffer.append("PGBOUNCER_")
        buffer.append(decimal: serials[Int(statement)])
    }

    public func name(_ statement: UInt32) -> ByteString {
        ByteString("PGBOUNCER_\(serials[Int(statement)])")
    }

    /// A Parse that prepares it: under its name, or as the unnamed statement.
    public func writeParse(_ statement: UInt32, named: Bool, into buffer: inout ByteBuffer) {
        let mark = buffer.begin(message: ClientMessageKind.parse.rawValue)
        if named { writeName(statement, into: &buffer) }
        buffer.append(0)
        buffer.append(definitions.bytes(statement))
        buffer.end(message: mark)
    }

    /// A Close of it.
    public func writeClose(_ statement: UInt32, into buffer: inout ByteBuffer) {
        let mark = buffer.begin(message: ClientMessageKind.close.rawValue)
        buffer.append(0x53)
        writeName(statement, into: &buffer)
        buffer.append(0)
        buffer.end(message: mark)
    }
}
